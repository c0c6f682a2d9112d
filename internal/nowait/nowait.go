// Package nowait writes to sockets without waiting, so that one goroutine can serve any number of them: what a socket does
// not take at once, the caller leaves to a goroutine that waits.
package nowait
