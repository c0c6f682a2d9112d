package simulators

import (
	"fmt"
	"strings"
)

// checkPrefix returns an error if devices could not publish below the topic: a topic name has no wildcards
// [MQTT-3.3.2-2], and neither begins nor ends in an empty level here.
func checkPrefix(prefix string) error {
	if prefix == "" || strings.ContainsAny(prefix, "+#\x00") || strings.HasPrefix(prefix, "/") || strings.HasSuffix(prefix, "/") {
		return fmt.Errorf("prefix %q: want a topic without wildcards and without a slash at either end", prefix)
	}

	return nil
}

// spareDescriptors is what the rest of the process may have open.
const spareDescriptors = 64

// checkDescriptors returns an error if the process may not open as many connections. Go has raised the soft limit to
// the hard one when the process began.
func checkDescriptors(connections int) error {
	limit, ok := descriptorLimit()
	if need := uint64(connections) + spareDescriptors; ok && need > limit {
		return fmt.Errorf("%d connections need %d open files, this process may have %d: raise the limit (ulimit -Hn, LimitNOFILE)",
			connections, need, limit)
	}

	return nil
}
