package disklog

import (
	"errors"
	"syscall"
)

// noRoom reports whether a write failed for want of room, so that it may be tried again when there is some.
func noRoom(err error) bool {
	return (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) && !errors.Is(err, errSync)
}

// errSync marks the failure of an fsync: what it has left on the disk is unknown, also where it says that there is no room.
var errSync = errors.New("sync")
