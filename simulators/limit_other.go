//go:build !unix

package simulators

// descriptorLimit reports that this system does not tell.
func descriptorLimit() (uint64, bool) { return 0, false }
