#include "ops/libcurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"

#define SONAME "libcurl.so.4"

struct libcurl_loading {
    struct libcurl functions;
    char problem[256]; /* "": loaded */
};

static const struct {
    const char *name;
    size_t offset;
} rows[] = {
#define LIBCURL_ROW(name) {"curl_" #name, offsetof(struct libcurl, name)},
    LIBCURL_FUNCTIONS(LIBCURL_ROW)
#undef LIBCURL_ROW
};

#define ROW_COUNT (sizeof rows / sizeof rows[0])

_Static_assert(sizeof(struct libcurl) == ROW_COUNT * sizeof(void *), "a row for each function");

static void note_problem(struct libcurl_loading *l)
{
    const char *why = dlerror();
    snprintf(l->problem, sizeof l->problem, "libcurl cannot be loaded: %s",
             why ? why : "unknown error");
}

static void find_functions(struct libcurl_loading *l, void *library)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        MUST(rows[i].offset + sizeof(void *) <= sizeof l->functions);
        void *found = dlsym(library, rows[i].name);
        if (!found) {
            note_problem(l);
            return;
        }
        memcpy((char *)&l->functions + rows[i].offset, &found, sizeof found);
    }
}

static void load_libcurl(struct libcurl_loading *l)
{
    void *library = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        note_problem(l);
        return;
    }

    find_functions(l, library);
    if (!*l->problem && l->functions.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(l->problem, sizeof l->problem, "libcurl cannot be initialized");
}

static struct libcurl_loading loading;

static void load_once(void)
{
    load_libcurl(&loading);
}

const struct libcurl *libcurl_load(const char **problem)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    MUST(pthread_once(&once, load_once) == 0);
    *problem = loading.problem;
    return *loading.problem ? NULL : &loading.functions;
}
