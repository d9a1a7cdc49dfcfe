/*
 * Formats log lines and writes them. It is C because log_message is variadic, and because the stream is a FILE.
 * Which lines there are belongs to the Rust side; the level is checked by the caller.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut, as with the original. */
enum { LINE_BYTES = 4096 };

typedef void (*log_callback_fn)(const char *message);

static FILE *chosen_stream; /* NULL: stderr */

void oxkeeper_log_stream_set(FILE *stream)
{
    __atomic_store_n(&chosen_stream, stream, __ATOMIC_RELEASE);
}

FILE *oxkeeper_log_stream(void)
{
    FILE *stream = __atomic_load_n(&chosen_stream, __ATOMIC_ACQUIRE);
    return stream ? stream : stderr;
}

static void write_line(log_callback_fn callback, int with_thread, int level, int line, const char *function,
                       const char *format, va_list values)
{
    static const char *const names[] = {"ZOO_INVALID", "ZOO_ERROR", "ZOO_WARN", "ZOO_INFO", "ZOO_DEBUG"};
    char text[LINE_BYTES];
    char thread[32] = "";
    struct timeval now;
    struct tm local;
    size_t at;
    int wrote;

    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &local);
    at = strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    if (with_thread)
        snprintf(thread, sizeof thread, "(0x%lx)", (unsigned long)pthread_self());
    wrote = snprintf(text + at, sizeof text - at, ",%03d:%ld%s:%s@%s@%d: ", (int)(now.tv_usec / 1000), (long)getpid(),
                     thread, level >= 1 && level <= 4 ? names[level] : names[0], function ? function : "", line);
    if (wrote > 0)
        at = at + (size_t)wrote < sizeof text ? at + (size_t)wrote : sizeof text - 1;
    vsnprintf(text + at, sizeof text - at, format ? format : "", values);
    if (callback) {
        callback(text);
    } else {
        FILE *stream = oxkeeper_log_stream();
        fprintf(stream, "%s\n", text);
        fflush(stream);
    }
}

/* The two faces of log_message: the line of the threaded library names the thread. */
void oxkeeper_log_message_mt(log_callback_fn callback, int level, int line, const char *function, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void oxkeeper_log_message_st(log_callback_fn callback, int level, int line, const char *function, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

void oxkeeper_log_message_mt(log_callback_fn callback, int level, int line, const char *function, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_line(callback, 1, level, line, function, format, values);
    va_end(values);
}

void oxkeeper_log_message_st(log_callback_fn callback, int level, int line, const char *function, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    write_line(callback, 0, level, line, function, format, values);
    va_end(values);
}
