//go:build !unix

package disklog

import (
	"errors"
	"fmt"
	"os"
)

// lockDir refuses: without a lock that ends with its process, two could write to one folder.
func lockDir(string) (*os.File, error) {
	return nil, fmt.Errorf("lock: %w on this system", errors.ErrUnsupported)
}
