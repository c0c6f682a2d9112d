// Package profile models the devices of a simulated fleet: what a thermostat, a power meter or a vibration sensor would
// measure, second by second, and the JSON or plain text in which such a device says it.
//
// A [Model] lives in model time. Advance moves it on, in small steps inside however long the stride is, so that the
// values are as believable at ten messages a second as at one in ten minutes. A model's values depend on its seed, its
// id and the strides alone: the same three give the same values, always. A model is not safe for concurrent use.
package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Epoch is the moment, in model time, at which a fleet begins unless told otherwise: a spring morning, heating weather.
var Epoch = time.Date(2026, time.March, 2, 6, 0, 0, 0, time.UTC)

// ErrCommand marks a command that the device understood well enough to refuse; the text says why.
var ErrCommand = errors.New("command refused")

// A Message is one publish of a device. Topic is the part below the device's own topic ("telemetry").
type Message struct {
	Topic   string
	Payload []byte
	// Retain marks states that a late listener must find, such as whether a door stands open.
	Retain bool
}

// Info is what a device announces of itself, once a connection, retained.
type Info struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Model    string `json:"model"`
	Firmware string `json:"firmware"`
	// Units maps the name of a value, as a dotted path inside the payload or the topic's last level, to its unit. It is
	// empty for devices whose payloads carry their units.
	Units map[string]string `json:"units,omitempty"`
}

// A Model is one device's inner life.
type Model interface {
	// Info describes the device; it does not change.
	Info() Info
	// Advance moves model time on by d. A stride of zero or less changes nothing.
	Advance(d time.Duration)
	// Report returns what the device would publish now: its readings, and states that changed since the last report.
	Report() []Message
}

// A Commander is a Model that takes commands.
type Commander interface {
	Model
	// Command carries out a JSON command, or returns an error that wraps [ErrCommand].
	Command(payload []byte) error
}

// kinds maps each kind's name to its constructor; start is the model's first moment.
var kinds = map[string]func(id string, rng *rand.Rand, start time.Time) Model{
	"coldchain":  newColdChain,
	"powermeter": newPowerMeter,
	"thermostat": newThermostat,
	"tracker":    newTracker,
	"vibration":  newVibration,
	"weather":    newWeather,
}

// Kinds returns the names of all kinds, sorted.
func Kinds() []string {
	names := make([]string, 0, len(kinds))
	for name := range kinds {
		names = append(names, name)
	}

	slices.Sort(names)

	return names
}

// Check returns an error that lists the kinds there are if one of names is not among them.
func Check(names ...string) error {
	for _, name := range names {
		if _, ok := kinds[name]; !ok {
			return fmt.Errorf("no profile %q; there are: %s", name, strings.Join(Kinds(), ", "))
		}
	}

	return nil
}

// New returns a device of the kind. Seed and id decide its character and its every value; a zero start means [Epoch].
func New(kind, id string, seed uint64, start time.Time) (Model, error) {
	if err := Check(kind); err != nil {
		return nil, err
	}

	if start.IsZero() {
		start = Epoch
	}

	hash := fnv.New64a()
	hash.Write([]byte(id))

	return kinds[kind](id, rand.New(rand.NewPCG(seed, hash.Sum64())), start), nil
}

// telemetry returns the message that carries v as JSON. The structs of this package hold finite numbers only, so that
// encoding cannot fail.
func telemetry(v any) Message {
	payload, err := json.Marshal(v)
	if err != nil {
		payload = fmt.Appendf(nil, `{"error":%q}`, err.Error())
	}

	return Message{Topic: "telemetry", Payload: payload}
}

// pick returns one of list.
func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }
