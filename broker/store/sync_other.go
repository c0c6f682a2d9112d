//go:build !unix

package store

// syncDir does nothing: this system cannot sync a folder.
func syncDir(string) error { return nil }
