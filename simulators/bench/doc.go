// Package bench measures a hub or broker from outside: it publishes over MQTT, receives over MQTT, over Pulso's stream or over any WebSocket
// that passes payloads on as they are, and tells what share was delivered, how late, and what it cost the server. It knows nothing of
// the server it measures but its addresses.
//
// Every payload carries the moment at which it should have been sent and a sequence number of its device. Latency counts from that
// moment, so that a server which makes the publishers wait does not look faster for it (coordinated omission). Loss, doublets and
// disorder are counted by sequence number for each receiver, not estimated. A figure that cannot be had is nil and a note says why;
// none is ever a zero in its place.
//
// Life cycle: [New] checks the configuration, [Bench.Run] measures one workload until it is done or its context ends, and returns what it
// has by then; all its goroutines have ended when it does. [Hub] runs a server of its own to measure. [Result], [Report] and
// [Report.HTML] are what comes of it.
package bench
