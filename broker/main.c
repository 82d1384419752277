/* ssecast-broker: options, then the loop. */
#include <stdio.h>

#include "broker.h"
#include "dump.h"
#include "ops/log.h"
#include "ops/privilege.h"
#include "ops/variables.h"

int main(int argc, char **argv)
{
    struct broker_config config = {0};
    enum option_result result = option_load(&broker_program, argc, argv, &config, NULL);
    if (result != OPTION_RUN)
        return result == OPTION_EXIT ? 0 : 2;

    if (config.dump_store) {
        int status = dump_store(config.dump_store, stdout);
        option_release(&broker_program, &config);
        return status;
    }

    log_open(broker_program.name, log_level_of(config.log_level));
    log_set_format(config.log_format);
    privilege_warn();
    variables_warn(&broker_program);
    int status = broker_run(&config);
    option_release(&broker_program, &config);
    return status;
}
