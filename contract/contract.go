// Package contract holds what devices have promised to send: JSON Schemas for topics. A message that breaks its contract is counted,
// set aside or refused, as the contract says.
//
// A [Book] is the contracts in their file; it judges messages on their way to the log. A [Learner] proposes a schema from messages
// seen, and a [Trial] says of a schema what it would have refused of them. The package knows no transport.
package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pulso/bridge/event"
)

// A Mode is what becomes of a message that breaks a contract.
type Mode string

// The modes, from the mildest on.
const (
	// Observe: it is counted.
	Observe Mode = "observe"
	// Quarantine: it is kept below [event.Dead], with the reason, where no view takes it for what the device said.
	Quarantine Mode = "quarantine"
	// Reject: its sender is told that it is refused. A sender who cannot be told (MQTT 3, a will, another broker) has been told that the
	// message is safe, or will be: it is then set aside as in Quarantine.
	Reject Mode = "reject"
)

func (m Mode) severity() int { return slices.Index([]Mode{Observe, Quarantine, Reject}, m) }

// Errors about contracts.
var (
	// ErrContract is wrapped by what is wrong with a contract or a schema.
	ErrContract = errors.New("contract")
	// ErrNone is wrapped where there is no contract of a name.
	ErrNone = errors.New("no such contract")
)

// A Contract is a promise about some topics. Its last version counts.
type Contract struct {
	Name     string    `json:"name"`
	Mode     Mode      `json:"mode"`
	Versions []Version `json:"versions"`
}

// A Version is what a contract says from a time on.
type Version struct {
	Number int `json:"number"`
	// Filter is an MQTT topic filter.
	Filter  string          `json:"filter"`
	Schema  json.RawMessage `json:"schema"`
	Created time.Time       `json:"created"`
	By      string          `json:"by,omitempty"`
}

// Last is the version that counts.
func (c *Contract) Last() *Version { return &c.Versions[len(c.Versions)-1] }

// Bounds of contracts.
const (
	maxContracts = 200
	maxVersions  = 20 // of a contract; the oldest go
	maxName      = 64
	maxFile      = 64 << 20 // bytes
)

// Content is all contracts, by name.
type Content struct {
	Contracts []Contract `json:"contracts"`
}

// Find finds a contract; nil: there is none.
func (c *Content) Find(name string) *Contract {
	i := slices.IndexFunc(c.Contracts, func(k Contract) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Contracts[i]
}

// Put makes a contract, or changes it: another filter or schema makes a new version, another mode does not. Its Number and Created
// are set.
func (c *Content) Put(name string, mode Mode, v Version, now time.Time) (*Contract, error) {
	k := c.Find(name)
	if k == nil {
		c.Contracts = append(c.Contracts, Contract{Name: name})
		k = &c.Contracts[len(c.Contracts)-1]
	}
	k.Mode = mode
	var compact bytes.Buffer
	if err := json.Compact(&compact, v.Schema); err != nil {
		return nil, fmt.Errorf("%w %s: the schema is not JSON: %w", ErrContract, name, err)
	}
	v.Schema = compact.Bytes()
	v.Number, v.Created = 1, now.UTC().Truncate(time.Second)
	if len(k.Versions) > 0 {
		last := k.Last()
		if last.Filter == v.Filter && bytes.Equal(last.Schema, v.Schema) {
			return k, nil
		}
		v.Number = last.Number + 1
	}
	k.Versions = append(k.Versions, v)
	if len(k.Versions) > maxVersions {
		k.Versions = slices.Delete(k.Versions, 0, len(k.Versions)-maxVersions)
	}
	return k, nil
}

// Remove removes a contract and reports whether there was one.
func (c *Content) Remove(name string) bool {
	before := len(c.Contracts)
	c.Contracts = slices.DeleteFunc(c.Contracts, func(k Contract) bool { return k.Name == name })
	return len(c.Contracts) < before
}

// check returns the schemas of the versions that count, or what is wrong.
func (c *Content) check() ([]*Schema, error) {
	if len(c.Contracts) > maxContracts {
		return nil, fmt.Errorf("%w: %d of them, at most %d", ErrContract, len(c.Contracts), maxContracts)
	}
	seen := make(map[string]bool, len(c.Contracts))
	schemas := make([]*Schema, len(c.Contracts))
	for i := range c.Contracts {
		k := &c.Contracts[i]
		bad := func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
		}
		switch {
		case k.Name == "" || len(k.Name) > maxName || strings.ContainsFunc(k.Name, bad) || strings.HasPrefix(k.Name, "."):
			return nil, fmt.Errorf("%w: %.80q is no name: 1 to %d letters, digits and . _ - that do not begin with a dot", ErrContract, k.Name, maxName)
		case seen[k.Name]:
			return nil, fmt.Errorf("%w: %q is there twice", ErrContract, k.Name)
		case k.Mode.severity() < 0:
			return nil, fmt.Errorf("%w %s: mode %.20q: there are observe, quarantine and reject", ErrContract, k.Name, k.Mode)
		case len(k.Versions) == 0 || len(k.Versions) > maxVersions:
			return nil, fmt.Errorf("%w %s: %d versions: 1 to %d", ErrContract, k.Name, len(k.Versions), maxVersions)
		}
		seen[k.Name] = true
		v := k.Last()
		if err := CheckFilter(v.Filter); err != nil {
			return nil, fmt.Errorf("%w %s: %w", ErrContract, k.Name, err)
		}
		var err error
		if schemas[i], err = Compile(v.Schema); err != nil {
			return nil, fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return schemas, nil
}

// CheckFilter returns nil for a filter that a contract may have. Topics that begin with "$" are the hub's own.
func CheckFilter(filter string) error {
	if err := event.CheckFilter(filter); err != nil {
		return err
	}
	if strings.HasPrefix(filter, "$") {
		return fmt.Errorf("%w %.80q: topics that begin with \"$\" have no contracts", event.ErrFilter, filter)
	}
	return nil
}
