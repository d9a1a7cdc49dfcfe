// The C library through cgo, as Go programs without a client of their own use it. Prints a transcript.
package main

/*
#cgo CFLAGS: -DTHREADED
#cgo LDFLAGS: -lpthread
#include <stdlib.h>
#include <zookeeper.h>
#include <zookeeper_log.h>

extern void goWatcher(zhandle_t *zh, int type, int state, char *path, void *context);
extern void goData(int rc, char *value, int length, struct Stat *stat, void *data);

static zhandle_t *start(const char *hosts) {
	return zookeeper_init(hosts, (watcher_fn)goWatcher, 10000, NULL, NULL, ZOO_NO_LOG_CLIENTENV);
}
static int get(zhandle_t *zh, const char *path) {
	return zoo_awget(zh, path, (watcher_fn)goWatcher, NULL, (data_completion_t)goData, NULL);
}
static void quiet(void) { zoo_set_debug_level((ZooLogLevel)0); }
*/
import "C"

import (
	"fmt"
	"os"
	"sort"
	"time"
	"unsafe"
)

var happened = make(chan string, 100)

//export goWatcher
func goWatcher(zh *C.zhandle_t, kind, state C.int, path *C.char, context unsafe.Pointer) {
	happened <- fmt.Sprint("event ", kind, " ", state, " ", C.GoString(path))
}

//export goData
func goData(rc C.int, value *C.char, length C.int, stat *C.struct_Stat, data unsafe.Pointer) {
	happened <- fmt.Sprint("data ", rc, " ", C.GoStringN(value, length))
}

func wait() {
	select {
	case text := <-happened:
		fmt.Println(text)
	case <-time.After(20 * time.Second):
		fmt.Println("waited in vain")
		os.Exit(1)
	}
}

func main() {
	C.quiet()
	zh := C.start(C.CString(os.Args[1]))
	wait()
	path, data := C.CString("/go"), C.CString("data")
	var name [64]C.char
	fmt.Println("create", C.zoo_create(zh, path, data, 4, &C.ZOO_OPEN_ACL_UNSAFE, C.ZOO_PERSISTENT, &name[0], 64), C.GoString(&name[0]))
	for i := 0; i < 3; i++ {
		fmt.Println("create", C.zoo_create(zh, C.CString("/go/s-"), data, 4, &C.ZOO_OPEN_ACL_UNSAFE, C.ZOO_EPHEMERAL_SEQUENTIAL, &name[0], 64), C.GoString(&name[0]))
	}
	rc := C.get(zh, path)
	wait()
	fmt.Println("get", rc)
	rc = C.zoo_set(zh, path, C.CString("more"), 4, 0)
	wait()
	fmt.Println("set", rc)
	var children C.struct_String_vector
	fmt.Println("children", C.zoo_get_children(zh, path, 0, &children), children.count)
	var names []string
	for _, name := range unsafe.Slice(children.data, children.count) {
		names = append(names, C.GoString(name))
	}
	sort.Strings(names)
	fmt.Println(names)
	C.deallocate_String_vector(&children)
	for _, child := range names {
		fmt.Println("delete", C.zoo_delete(zh, C.CString("/go/"+child), -1))
	}
	fmt.Println("delete", C.zoo_delete(zh, path, -1))
	fmt.Println("close", C.zookeeper_close(zh))
}
