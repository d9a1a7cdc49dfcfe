/*
 * The buffer of records, and archives: what turns records into bytes and back.
 * The archives are in the static libraries only; the shared ones have deallocate_String, deallocate_Buffer and
 * zoo_htonll of this header.
 */
#ifndef __RECORDIO_H__
#define __RECORDIO_H__

#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes; len is -1 for none. */
struct buffer {
    int32_t len;
    char *buff;
};

/* Free the memory (malloc's) and set the pointer to NULL. */
void deallocate_String(char **s);
void deallocate_Buffer(struct buffer *b);
void deallocate_vector(void *d);

/* Reads: each function returns 0 or a negative errno. */
struct iarchive {
    int (*start_record)(struct iarchive *ia, const char *tag);
    int (*end_record)(struct iarchive *ia, const char *tag);
    int (*start_vector)(struct iarchive *ia, const char *tag, int32_t *count);
    int (*end_vector)(struct iarchive *ia, const char *tag);
    int (*deserialize_Bool)(struct iarchive *ia, const char *name, int32_t *value);
    int (*deserialize_Int)(struct iarchive *ia, const char *name, int32_t *value);
    int (*deserialize_Long)(struct iarchive *ia, const char *name, int64_t *value);
    int (*deserialize_Buffer)(struct iarchive *ia, const char *name, struct buffer *value);
    int (*deserialize_String)(struct iarchive *ia, const char *name, char **value);
    void *priv;
};

/* Writes: each function returns 0 or a negative errno. */
struct oarchive {
    int (*start_record)(struct oarchive *oa, const char *tag);
    int (*end_record)(struct oarchive *oa, const char *tag);
    int (*start_vector)(struct oarchive *oa, const char *tag, const int32_t *count);
    int (*end_vector)(struct oarchive *oa, const char *tag);
    int (*serialize_Bool)(struct oarchive *oa, const char *name, const int32_t *value);
    int (*serialize_Int)(struct oarchive *oa, const char *name, const int32_t *value);
    int (*serialize_Long)(struct oarchive *oa, const char *name, const int64_t *value);
    int (*serialize_Buffer)(struct oarchive *oa, const char *name, const struct buffer *value);
    int (*serialize_String)(struct oarchive *oa, const char *name, char **value);
    void *priv;
};

/* An archive that grows a buffer; get_buffer belongs to it unless it is closed with free_buffer 0. */
struct oarchive *create_buffer_oarchive(void);
void close_buffer_oarchive(struct oarchive **oa, int free_buffer);
/* An archive over the caller's bytes. */
struct iarchive *create_buffer_iarchive(char *buffer, int len);
void close_buffer_iarchive(struct iarchive **ia);
char *get_buffer(struct oarchive *);
int get_buffer_len(struct oarchive *);

/* The network's order of a 64-bit number. */
int64_t zoo_htonll(int64_t v);

#ifdef __cplusplus
}
#endif

#endif
