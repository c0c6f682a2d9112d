// Package simulators plays devices against any MQTT 3.1.1 broker: a [Fleet] of modelled devices, a [Replay] of a CSV
// recording, a [Storm] of connections. It knows nothing of the server it plays against.
//
// Life cycle: New… checks the configuration, Run works until its context ends or the work is done and returns when all
// its goroutines have. Stats may be called at any time from anywhere. [FleetCommand], [ReplayCommand] and
// [StormCommand], together [Commands], are the same with command-line flags and progress written to a terminal.
//
// Every device has a connection of its own and costs one goroutine and about 14 KiB, so that tens of thousands fit into
// one process: the link speaks MQTT through the codec of paho directly, because a paho client costs ten goroutines
// and 48 KiB.
package simulators
