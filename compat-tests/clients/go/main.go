// go-zookeeper, used as its users use it.
//
// Usage: go-observe host:port. Prints a transcript of what it saw; the runner compares the one made against Java with
// the one made against Oxkeeper. A line "@stop" or "@start" on the output asks the runner to stop or start the server;
// the answer is one line on the input. Times and session ids stay out of the transcript.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"log"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const deadline = 60 * time.Second

var (
	answers = bufio.NewReader(os.Stdin)
	server  string
	open    = zk.WorldACL(zk.PermAll)
)

func say(format string, values ...any) { fmt.Printf(format+"\n", values...) }

func ask(wish string) {
	say("@%s", wish)
	if _, err := answers.ReadString('\n'); err != nil {
		log.Fatal("the runner is gone")
	}
}

func check(holds bool, format string, values ...any) {
	if !holds {
		log.Panicf(format, values...)
	}
}

// Contenders make zxids a matter of chance: from then on they are left out.
var zxids = true

func stat(s *zk.Stat) string {
	if s == nil {
		return "no stat"
	}
	owner := "none"
	switch {
	case uint64(s.EphemeralOwner) == 1<<63:
		owner = "container"
	case uint64(s.EphemeralOwner)>>56 == 0xff:
		owner = fmt.Sprintf("ttl %d", s.EphemeralOwner&0xffffffffff)
	case s.EphemeralOwner != 0:
		owner = "a session"
	}
	numbers := ""
	if zxids {
		numbers = fmt.Sprintf("c%d m%d p%d ", s.Czxid, s.Mzxid, s.Pzxid)
	}
	return fmt.Sprintf("%sv%d cv%d av%d len%d kids%d owner %s",
		numbers, s.Version, s.Cversion, s.Aversion, s.DataLength, s.NumChildren, owner)
}

// tell says what came of a call: its values, or its error.
func tell(what string, values ...any) {
	var shown []string
	for _, value := range values {
		switch v := value.(type) {
		case error:
			say("%s -> %v", what, v)
			return
		case *zk.Stat:
			shown = append(shown, stat(v))
		case []byte:
			shown = append(shown, string(v))
		case []string:
			sorted := append([]string(nil), v...)
			sort.Strings(sorted)
			shown = append(shown, fmt.Sprint(sorted))
		case nil:
		default:
			shown = append(shown, fmt.Sprintf("%+v", v))
		}
	}
	say("%s -> %s", what, strings.Join(shown, " "))
}

// The calls of the library return several values; these make them arguments of tell.
func s1[A any](a A, err error) []any         { return values(err, a) }
func s2[A, B any](a A, b B, err error) []any { return values(err, a, b) }
func values(err error, list ...any) []any {
	if err != nil {
		return []any{err}
	}
	return list
}

func connect(timeout time.Duration) (*zk.Conn, <-chan zk.Event) {
	// The library drops session events that nobody takes, so this queue is deep and not the library's own.
	events := make(chan zk.Event, 10_000)
	take := func(event zk.Event) {
		if event.Type == zk.EventSession {
			events <- event
		}
	}
	conn, _, err := zk.Connect([]string{server}, timeout, zk.WithLogger(log.Default()), zk.WithEventCallback(take))
	check(err == nil, "connect: %v", err)
	until(events, zk.StateHasSession)
	return conn, events
}

func until(events <-chan zk.Event, state zk.State) {
	end := time.After(deadline)
	for {
		select {
		case event, ok := <-events:
			check(ok, "events end before %v", state)
			if event.State == state {
				return
			}
		case <-end:
			check(false, "never %v", state)
		}
	}
}

func expect(events <-chan zk.Event, kind zk.EventType, path string) {
	select {
	case event := <-events:
		check(event.Type == kind && event.Path == path && event.Err == nil, "event %+v in place of %v %s", event, kind, path)
		say("event %v %s", event.Type, event.Path)
	case <-time.After(deadline):
		check(false, "no event %v %s", kind, path)
	}
}

func main() {
	server = os.Args[1]
	one, events := connect(30 * time.Second)
	two, _ := connect(30 * time.Second)
	say("connected, session %v", one.SessionID() != 0)
	plain(one)
	accessControl(one, two)
	multi(one)
	watches(one, two)
	locks(one, two)
	restart(one, two, events)
	shortLived(one)
	one.Close()
	two.Close()
	say("closed, state %v", one.State())
}

func plain(conn *zk.Conn) {
	say("== plain calls")
	tell("create", s1(conn.Create("/g", []byte("one"), 0, open))...)
	tell("create again", s1(conn.Create("/g", []byte("one"), 0, open))...)
	tell("create below nothing", s1(conn.Create("/none/x", nil, 0, open))...)
	tell("create without acl", s1(conn.Create("/g/x", nil, 0, nil))...)
	tell("bad path", s1(conn.Create("/g/x/", nil, 0, open))...)
	for _, flags := range []int32{zk.FlagEphemeral, zk.FlagSequence, zk.FlagEphemeral | zk.FlagSequence} {
		tell(fmt.Sprintf("create %d", flags), s1(conn.Create(fmt.Sprintf("/g/%d-", flags), nil, flags, open))...)
	}
	tell("container", s1(conn.CreateContainer("/g/box", nil, zk.FlagTTL, open))...)
	tell("container", s1(conn.CreateContainer("/g/box", nil, 4, open))...)
	tell("ttl", s1(conn.CreateTTL("/g/ttl", nil, zk.FlagTTL, open, time.Hour))...)
	tell("ttl sequence", s1(conn.CreateTTL("/g/ttl-", nil, zk.FlagTTL|zk.FlagSequence, open, time.Hour))...)
	path, err := conn.CreateProtectedEphemeralSequential("/g/p-", nil, open)
	check(err == nil && strings.Contains(path, "_c_"), "protected: %s %v", path, err)
	tell("protected", path[len(path)-10:])
	for _, node := range []string{"/g/1-", "/g/ttl", "/g/none"} {
		found, s, err := conn.Exists(node)
		if found {
			tell("exists "+node, s, err)
		} else {
			tell("exists "+node, found, err)
		}
	}
	names, s, err := conn.Children("/g")
	check(err == nil, "children: %v", err)
	for i, name := range names {
		if strings.HasPrefix(name, "_c_") {
			names[i] = "protected"
		}
	}
	tell("children", names, s)
	tell("children of nothing", s2(conn.Children("/none"))...)
	tell("get", s2(conn.Get("/g"))...)
	tell("get of nothing", s2(conn.Get("/none"))...)
	tell("set", s1(conn.Set("/g", []byte("two"), 0))...)
	tell("set wrong version", s1(conn.Set("/g", []byte("two"), 0))...)
	tell("sync", s1(conn.Sync("/g"))...)
	tell("delete of a parent", conn.Delete("/g", -1))
	tell("below an ephemeral", s1(conn.Create("/g/1-/x", nil, 0, open))...)
	names, _, _ = conn.Children("/g")
	for _, name := range names {
		check(conn.Delete("/g/"+name, -1) == nil, "delete %s", name)
	}
	tell("delete wrong version", conn.Delete("/g", 9))
	tell("delete", conn.Delete("/g", 1))
	tell("delete of nothing", conn.Delete("/g", -1))
	tell("reconfig", s1(conn.IncrementalReconfig([]string{"server.9=127.0.0.1:1:2;3"}, nil, -1))...)
	big := strings.Repeat("b", 900_000)
	tell("a large node", s1(conn.Create("/big", []byte(big), 0, open))...)
	data, _, err := conn.Get("/big")
	check(err == nil && string(data) == big, "a large node comes back: %v", err)
	conn.Delete("/big", -1)

	// Many goroutines on one connection.
	var all sync.WaitGroup
	var wrong sync.Map
	for i := 0; i < 200; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			path := fmt.Sprintf("/n%03d", i)
			_, err := conn.Create(path, []byte(path), 0, open)
			data, _, err2 := conn.Get(path)
			if err != nil || err2 != nil || string(data) != path || conn.Delete(path, 0) != nil {
				wrong.Store(path, err)
			}
		}()
	}
	all.Wait()
	wrong.Range(func(path, err any) bool { check(false, "%v %v", path, err); return true })
	say("200 goroutines")
}

func accessControl(one, two *zk.Conn) {
	say("== access control")
	tell("create for joe", s1(one.Create("/acl", []byte("1"), 0, zk.DigestACL(zk.PermAll, "joe", "secret")))...)
	tell("get as anyone", s2(one.Get("/acl"))...)
	tell("auth", one.AddAuth("digest", []byte("joe:secret")))
	tell("get as joe", s2(one.Get("/acl"))...)
	tell("acl", s2(one.GetACL("/acl"))...)
	tell("set acl", s1(one.SetACL("/acl", append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...), 0))...)
	tell("acl", s2(one.GetACL("/acl"))...)
	tell("get as another", s2(two.Get("/acl"))...)
	tell("set as another", s1(two.Set("/acl", nil, -1))...)
	tell("acl as another", s2(two.GetACL("/acl"))...)
	tell("invalid acl", s1(one.Create("/acl2", nil, 0, []zk.ACL{{Perms: 31, Scheme: "nobody", ID: "x"}}))...)
	tell("delete", one.Delete("/acl", -1))
}

func multi(conn *zk.Conn) {
	say("== multi")
	show := func(responses []zk.MultiResponse, err error) []any {
		var shown []any
		for _, response := range responses {
			shown = append(shown, response.String, response.Error == nil)
			if response.Error != nil {
				shown = append(shown, response.Error.Error())
			}
			if response.Stat != nil {
				shown = append(shown, response.Stat)
			}
		}
		if err != nil {
			shown = append(shown, "error "+err.Error())
		}
		return shown
	}
	tell("all kinds", show(conn.Multi(
		&zk.CreateRequest{Path: "/m", Data: []byte("1"), Acl: open},
		&zk.CreateRequest{Path: "/m/s-", Acl: open, Flags: zk.FlagSequence},
		&zk.CheckVersionRequest{Path: "/m", Version: 0},
		&zk.SetDataRequest{Path: "/m", Data: []byte("2"), Version: 0},
		&zk.DeleteRequest{Path: "/m/s-0000000000", Version: -1}))...)
	tell("fails", show(conn.Multi(
		&zk.CreateRequest{Path: "/m/x", Acl: open},
		&zk.CheckVersionRequest{Path: "/m", Version: 9},
		&zk.DeleteRequest{Path: "/m", Version: -1}))...)
	tell("nothing done", s2(conn.Children("/m"))...)
	tell("delete", conn.Delete("/m", 1))
}

func watches(one, two *zk.Conn) {
	say("== watches")
	_, _, created, err := one.ExistsW("/w")
	check(err == nil, "exists: %v", err)
	two.Create("/w", []byte("1"), 0, open)
	expect(created, zk.EventNodeCreated, "/w")
	_, _, changed, err := one.GetW("/w")
	check(err == nil, "get: %v", err)
	two.Set("/w", []byte("2"), -1)
	expect(changed, zk.EventNodeDataChanged, "/w")
	_, _, listed, err := one.ChildrenW("/w")
	check(err == nil, "children: %v", err)
	two.Create("/w/c", nil, 0, open)
	expect(listed, zk.EventNodeChildrenChanged, "/w")
	_, _, deleted, err := one.GetW("/w/c")
	check(err == nil, "get: %v", err)
	two.Delete("/w/c", -1)
	expect(deleted, zk.EventNodeDeleted, "/w/c")
	_, _, _, err = one.GetW("/none")
	tell("watch nothing", err)
	two.Delete("/w", -1)
}

func locks(one, two *zk.Conn) {
	say("== locks")
	zxids = false
	inside, turns := 0, 0
	var all sync.WaitGroup
	for i := 0; i < 4; i++ {
		conn := one
		if i%2 == 1 {
			conn = two
		}
		all.Add(1)
		go func() {
			defer all.Done()
			for turn := 0; turn < 5; turn++ {
				lock := zk.NewLock(conn, "/lock", open)
				check(lock.LockWithData([]byte("me")) == nil, "lock")
				inside++
				check(inside == 1, "one holder")
				turns++
				inside--
				check(lock.Unlock() == nil, "unlock")
			}
		}()
	}
	all.Wait()
	say("turns %d", turns)
	lock := zk.NewLock(one, "/lock", open)
	tell("lock", lock.Lock())
	tell("deadlock", lock.Lock())
	tell("unlock", lock.Unlock())
	tell("unlock again", lock.Unlock())
}

func restart(one, two *zk.Conn, events <-chan zk.Event) {
	say("== restart")
	one.Create("/r", []byte("1"), 0, open)
	one.Create("/r/e", nil, zk.FlagEphemeral, open)
	session := one.SessionID()
	_, _, changed, err := one.GetW("/r")
	check(err == nil, "get: %v", err)
	_, _, listed, err := one.ChildrenW("/r")
	check(err == nil, "children: %v", err)
	ask("stop")
	until(events, zk.StateDisconnected)
	ask("start")
	until(events, zk.StateHasSession)
	say("same session %v", one.SessionID() == session)
	_, s, err := two.Exists("/r/e")
	for errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) {
		time.Sleep(20 * time.Millisecond)
		_, s, err = two.Exists("/r/e")
	}
	check(err == nil && s.EphemeralOwner == session, "the ephemeral is there: %v %v", s, err)
	tell("set", s1(two.Set("/r", []byte("2"), 0))...)
	expect(changed, zk.EventNodeDataChanged, "/r")
	tell("create", s1(two.Create("/r/s-", nil, zk.FlagSequence, open))...)
	expect(listed, zk.EventNodeChildrenChanged, "/r")
	for _, path := range []string{"/r/s-0000000001", "/r/e", "/r"} {
		tell("delete "+path, two.Delete(path, -1))
	}
}

func shortLived(conn *zk.Conn) {
	say("== nodes that come and go")
	brief, _ := connect(2 * time.Second)
	brief.Create("/brief", nil, zk.FlagEphemeral, open)
	_, _, gone, err := conn.ExistsW("/brief")
	check(err == nil, "exists: %v", err)
	brief.Close()
	expect(gone, zk.EventNodeDeleted, "/brief")
	conn.CreateTTL("/ttl", nil, zk.FlagTTL, open, 300*time.Millisecond)
	_, _, gone, err = conn.ExistsW("/ttl")
	check(err == nil, "exists: %v", err)
	expect(gone, zk.EventNodeDeleted, "/ttl")
}
