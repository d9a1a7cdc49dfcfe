/* For programs that include it: on Windows the name ACL is taken. */
#ifndef WINCONFIG_H_
#define WINCONFIG_H_

#ifdef WIN32
#ifndef __cplusplus
#define inline __inline
#endif
#define __attribute__(x)
#define __func__ __FUNCTION__
#define ACL ZKACL
#endif

#endif
