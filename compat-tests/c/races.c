/* What LLVM's ThreadSanitizer calls and gcc's has under the usual names: the program is gcc's, the library LLVM's. */
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t count)
{
    return memcpy(to, from, count);
}

void *__tsan_memmove(void *to, const void *from, size_t count)
{
    return memmove(to, from, count);
}

void *__tsan_memset(void *to, int value, size_t count)
{
    return memset(to, value, count);
}
