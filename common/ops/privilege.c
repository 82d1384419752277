#include "ops/privilege.h"

#include <unistd.h>

#include "ops/log.h"

void privilege_warn(void)
{
    if (geteuid() == 0)
        log_warn(
            "running as root, which is not needed: use a dedicated user, as the systemd units do");
}
