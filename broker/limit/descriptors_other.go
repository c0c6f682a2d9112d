//go:build !unix

package limit

// RaiseDescriptors returns that no limit of open files is known.
func RaiseDescriptors() (Descriptors, error) { return 0, nil }
