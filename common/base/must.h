/* must.h - invariants that are checked in every build.
 *
 * MUST(condition) states what the code around it relies on: the tag of a union, the bound of an
 * array, the order of a list. When the condition does not hold, the program is wrong, and going on
 * would do more harm than stopping: it writes the condition and its place to stderr and aborts.
 *
 * It is not for input. What comes from outside (a message, a file, an option) is checked and
 * refused with an error.
 */
#ifndef SSECAST_MUST_H
#define SSECAST_MUST_H

#define MUST(condition)                                                                            \
    ((condition) ? (void)0 : must_fail(#condition, __FILE__, __LINE__, __func__))

/* Write one line to stderr and abort. */
_Noreturn void must_fail(const char *condition, const char *file, int line, const char *function);

#endif
