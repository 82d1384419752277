/* ssecast-broker: options, then the loop. */
#include "broker.h"
#include "log.h"
#include "privilege.h"

int main(int argc, char **argv)
{
    struct broker_config config = {0};
    enum option_result result = option_load(&broker_program, argc, argv, &config, NULL);
    if (result != OPTION_RUN)
        return result == OPTION_EXIT ? 0 : 2;
    log_open(broker_program.name, log_level_of(config.log_level));
    log_set_format(config.log_format);
    privilege_warn();
    int status = broker_run(&config);
    option_release(&broker_program, &config);
    return status;
}
