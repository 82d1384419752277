/* sanitized.h - SANITIZED: this program is built with a sanitizer that needs memory
 * and address space of its own. */
#ifndef SSECAST_SANITIZED_H
#define SSECAST_SANITIZED_H

#ifdef __has_feature /* clang */
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#endif
