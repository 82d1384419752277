/* libcurl.h - libcurl, loaded when it is first used: the only user of dlopen.
 *
 * Most runs of a program that can use HTTP do not. libcurl brings some 20 libraries, and loading
 * them takes longer than all the rest of a short command. So no program is linked with it.
 *
 * It does not wrap anything: the functions are libcurl's own, under their names without `curl_`.
 *
 * Ownership: the table is static, and libcurl stays loaded.
 */
#ifndef SSECAST_LIBCURL_H
#define SSECAST_LIBCURL_H

#include <curl/curl.h>

#define LIBCURL_FUNCTIONS(X)                                                                       \
    X(free)                                                                                        \
    X(global_init)                                                                                 \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_perform)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_strerror)                                                                               \
    X(easy_cleanup)                                                                                \
    X(multi_init)                                                                                  \
    X(multi_add_handle)                                                                            \
    X(multi_perform)                                                                               \
    X(multi_poll)                                                                                  \
    X(multi_info_read)                                                                             \
    X(multi_remove_handle)                                                                         \
    X(multi_cleanup)                                                                               \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(url)                                                                                         \
    X(url_set)                                                                                     \
    X(url_get)                                                                                     \
    X(url_cleanup)

/* The option functions are variadic: an integer must be a long or a curl_off_t, as libcurl's
 * manual says. */
struct libcurl {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it is a name
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
    LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};

/* libcurl, initialized; or NULL with one line in *problem when it cannot be loaded. Any thread may
 * call it. A failure is final for the process. */
const struct libcurl *libcurl_load(const char **problem);

#endif
