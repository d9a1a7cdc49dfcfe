/* The version of ZooKeeper whose C interface these headers have. */
#ifndef ZOOKEEPER_VERSION_H_
#define ZOOKEEPER_VERSION_H_

#define ZOO_VERSION "3.9.5"

#endif
