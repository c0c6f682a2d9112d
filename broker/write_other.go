//go:build !unix

package broker

import (
	"net"
	"syscall"
)

// rawWriter returns nil: here every write is left to a goroutine.
func rawWriter(net.Conn) syscall.RawConn { return nil }

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }
