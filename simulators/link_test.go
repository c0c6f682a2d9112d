package simulators

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
)

// TestFarewellWhileDown ends a link in the moment in which it is not connected: it must not come up to say that it is
// online when nobody will say that it is not.
func TestFarewellWhileDown(t *testing.T) {
	address := freeAddress(t)
	startMosquitto(t, address, "")

	ear := listen(t, address)

	fleet, err := NewFleet(FleetConfig{Broker: Broker{URL: "tcp://" + address}, Devices: 1})
	if err != nil {
		t.Fatal(err)
	}

	d := fleet.devices[0]
	d.link.farewell(d.status("offline"))

	if err := d.link.run(t.Context()); err != nil {
		t.Fatal(err)
	}

	if got := ear.count("/status"); got != 0 || fleet.Stats().Connects != 0 {
		t.Errorf("%d status messages, %d connections", got, fleet.Stats().Connects)
	}
}

// TestPublishWhileDown tells the two kinds of links apart.
func TestPublishWhileDown(t *testing.T) {
	t.Parallel()

	counts := &counters{}

	device := newLink(linkConfig{counters: counts, window: 2})
	for qos := range byte(2) {
		if err := device.publish(message{qos: qos}); !errors.Is(err, errOffline) {
			t.Errorf("QoS %d: %v, want errOffline", qos, err)
		}
	}

	recording := newLink(linkConfig{counters: counts, window: 2, queue: true})
	for range 2 {
		if err := recording.publish(message{qos: 1}); err != nil {
			t.Error(err)
		}
	}

	if err := recording.publish(message{qos: 1}); !errors.Is(err, errWindowFull) {
		t.Errorf("%v, want errWindowFull", err)
	}

	if err := recording.publish(message{}); !errors.Is(err, errOffline) {
		t.Errorf("%v, want errOffline", err)
	}

	recording.acknowledged(recording.pending[0].id)

	if err := recording.publish(message{qos: 1}); err != nil || recording.pending[1].id == recording.pending[0].id {
		t.Errorf("%v, pending %+v", err, recording.pending)
	}
}

// FuzzReadPacket checks that no bytes from a broker end the process or make it allocate what was never sent.
func FuzzReadPacket(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0})                         // CONNACK
	f.Add([]byte{0x40, 2, 0, 1})                         // PUBACK
	f.Add([]byte{0x90, 3, 0, 1, 1})                      // SUBACK
	f.Add([]byte{0xd0, 0})                               // PINGRESP
	f.Add([]byte{0x32, 7, 0, 1, 'a', 0, 1, 'h', 'i'})    // PUBLISH
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 2}) // PUBLISH of 256 MB

	f.Fuzz(func(t *testing.T, data []byte) {
		reader := bufio.NewReaderSize(bytes.NewReader(data), readBuffer)

		for {
			packet, err := readPacket(reader)
			if err != nil {
				return
			}

			if packet == nil {
				t.Fatal("no packet and no error")
			}
		}
	})
}
