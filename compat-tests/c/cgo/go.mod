module oxkeeper.test/cgo

go 1.19
