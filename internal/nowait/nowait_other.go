//go:build !unix

package nowait

import (
	"net"
	"syscall"
)

// Writer returns nil: here every write is left to a goroutine that waits.
func Writer(net.Conn) syscall.RawConn { return nil }

// Write is never called, since there is no Writer.
func Write(syscall.RawConn, []byte) (int, error) { return 0, nil }
