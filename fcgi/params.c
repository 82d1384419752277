#include "params.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int params_copy(struct params *p, char *const *list)
{
    size_t size = 1;
    for (char *const *item = list; *item; item++)
        size += strlen(*item) + 1;
    char *out = malloc(size);
    if (!out)
        return -ENOMEM;
    p->text = out;
    for (char *const *item = list; *item; item++)
        if (**item)
            out = stpcpy(out, *item) + 1;
    *out = '\0';
    return 0;
}

void params_release(struct params *p)
{
    free(p->text);
    p->text = NULL;
}

const char *params_get(const struct params *p, const char *name)
{
    size_t len = strlen(name);
    for (const char *item = p->text; *item; item += strlen(item) + 1)
        if (strncmp(item, name, len) == 0 && item[len] == '=')
            return item + len + 1;
    return NULL;
}
