// Package limit has the bounds that keep a broker up when more is asked of it than it can do: how many connections there
// are and how fast they come ([Addresses]), how fast one client publishes ([Rates]), how much memory the process takes
// ([Memory]) and how many files it may open ([Descriptors]).
//
// The parts know nothing of MQTT and not of one another. The rule that they share: new work is refused before old work
// fails, whoever publishes is slowed and not refused, and what is refused is refused as early and as cheaply as possible.
// What each counts is in its metrics, by reason.
package limit

// A Reason says which bound was met: a label of metrics and a word for logs. The empty Reason says that none was.
type Reason string

// The reasons for which [Addresses.Admit] refuses a connection.
const (
	// Connections: there are as many as there may be.
	Connections Reason = "connections"
	// AddressConnections: one address has as many as it may have.
	AddressConnections Reason = "address connections"
	// AddressRate: one address connects too often.
	AddressRate Reason = "address rate"
)

// The reasons for which something has to wait.
const (
	// ConnectRate: connections come faster than they are taken.
	ConnectRate Reason = "connect rate"
	// ClientMessages: a client sends too many messages a second.
	ClientMessages Reason = "client messages"
	// ClientBytes: a client sends too many bytes a second.
	ClientBytes Reason = "client bytes"
)
