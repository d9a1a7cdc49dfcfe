/* The library's log, for applications that write to it too. */
#ifndef ZK_LOG_H_
#define ZK_LOG_H_

#include <zookeeper.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Up to which level lines are written; set it with zoo_set_debug_level. */
extern ZOOAPI ZooLogLevel logLevel;

#define LOGCALLBACK(_zh) zoo_get_log_callback(_zh)
#define LOGSTREAM NULL

#define LOG_ERROR(_cb, ...) if (logLevel >= ZOO_LOG_LEVEL_ERROR) \
    log_message(_cb, ZOO_LOG_LEVEL_ERROR, __LINE__, __func__, __VA_ARGS__)
#define LOG_WARN(_cb, ...) if (logLevel >= ZOO_LOG_LEVEL_WARN) \
    log_message(_cb, ZOO_LOG_LEVEL_WARN, __LINE__, __func__, __VA_ARGS__)
#define LOG_INFO(_cb, ...) if (logLevel >= ZOO_LOG_LEVEL_INFO) \
    log_message(_cb, ZOO_LOG_LEVEL_INFO, __LINE__, __func__, __VA_ARGS__)
#define LOG_DEBUG(_cb, ...) if (logLevel == ZOO_LOG_LEVEL_DEBUG) \
    log_message(_cb, ZOO_LOG_LEVEL_DEBUG, __LINE__, __func__, __VA_ARGS__)

/* Writes one line to the callback, or to the log's stream when it is NULL. A line is cut at 4095 bytes. */
ZOOAPI void log_message(log_callback_fn callback, ZooLogLevel curLevel, int line, const char *funcName,
                        const char *format, ...);

/* The stream: what zoo_set_log_stream set, else stderr. */
FILE *zoo_get_log_stream();

#ifdef __cplusplus
}
#endif

#endif
