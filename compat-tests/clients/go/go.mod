// A program of its own, outside of the workspace: the client under test is its only dependency.
module oxkeeper/go-observe

go 1.22

require github.com/go-zookeeper/zk v1.0.4
