package disklog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("fdatasync %s: %w", f.Name(), err)
		}
	}
}
