// Package explain shows how messages are understood, without a hub: it is what `pulso decode` does.
package explain

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"pulso/bridge/decode"
	"pulso/bridge/event"
)

// maxLine bounds a line of the input, in bytes.
const maxLine = 64 << 20

// Config is what to explain; its tags are read by github.com/alecthomas/kong.
type Config struct {
	Topic    string `placeholder:"TOPIC" help:"The message's topic."`
	Payload  string `placeholder:"TEXT" help:"Its payload."`
	Base64   string `name:"payload-base64" placeholder:"BASE64" help:"Its payload where that is no text."`
	Retained bool   `help:"It has the RETAIN flag."`
	Client   string `placeholder:"ID" help:"The MQTT client id that publishes it."`
	Time     string `placeholder:"RFC3339" help:"When it arrives; empty: that is not known, and any clock of the device that is set is trusted."`
	Lines    bool   `name:"jsonl" help:"Read messages from standard input, one JSON object a line: {\"topic\", \"payload\" or \"payload_base64\", \"retained\", \"client\", \"time\"}. What one announces counts for those after it."`
}

// message is a line of the input.
type message struct {
	Topic    string  `json:"topic"`
	Payload  *string `json:"payload"`
	Base64   *string `json:"payload_base64"`
	Retained bool    `json:"retained"`
	Client   string  `json:"client"`
	Time     string  `json:"time"`
}

// Run writes one line of JSON for each message: a [decode.Report], or {"error"} for a line that is no message. Its error
// says what is wrong with the flags, an override, or that something could not be read or written.
func (c *Config) Run(in io.Reader, out io.Writer, overrides []decode.Override) error {
	d, err := decode.New(decode.Config{Overrides: overrides})
	if err != nil {
		return err
	}
	answers := bufio.NewWriter(out)
	lines := json.NewEncoder(answers)
	lines.SetEscapeHTML(false)
	if !c.Lines {
		if c.Topic == "" {
			return errors.New("--topic is missing (or --jsonl, to read messages from standard input)")
		}
		m := message{Topic: c.Topic, Payload: &c.Payload, Retained: c.Retained, Client: c.Client, Time: c.Time}
		if c.Base64 != "" {
			m.Payload, m.Base64 = nil, &c.Base64
		}
		report, err := m.explain(d)
		if err != nil {
			return err
		}
		lines.SetIndent("", "  ")
		return errors.Join(lines.Encode(report), answers.Flush())
	}
	if c.Topic != "" || c.Payload != "" || c.Base64 != "" {
		return errors.New("--jsonl reads topics and payloads from standard input: --topic and --payload are for one message")
	}
	input := bufio.NewScanner(in)
	input.Buffer(nil, maxLine)
	for input.Scan() {
		if len(input.Bytes()) == 0 {
			continue
		}
		if err := lines.Encode(answer(d, input.Bytes())); err != nil {
			return err
		}
		if err := answers.Flush(); err != nil { // who asks line by line waits for it
			return err
		}
	}
	if err := input.Err(); err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	return answers.Flush()
}

// answer is what is written for a line.
func answer(d *decode.Decoder, line []byte) any {
	var m message
	err := json.Unmarshal(line, &m)
	if err == nil {
		var report decode.Report
		if report, err = m.explain(d); err == nil {
			return report
		}
	}
	return map[string]string{"error": err.Error()}
}

func (m *message) explain(d *decode.Decoder) (decode.Report, error) {
	if err := event.CheckTopic(m.Topic); err != nil {
		return decode.Report{}, err
	}
	in := decode.Input{Topic: m.Topic, Client: m.Client, Retain: m.Retained}
	switch {
	case m.Payload != nil && m.Base64 != nil:
		return decode.Report{}, errors.New("payload and payload_base64: one of them is enough")
	case m.Base64 != nil:
		payload, err := base64.StdEncoding.DecodeString(*m.Base64)
		if err != nil {
			return decode.Report{}, fmt.Errorf("payload_base64: %w", err)
		}
		in.Payload = payload
	case m.Payload != nil:
		in.Payload = []byte(*m.Payload)
	}
	if m.Time != "" {
		at, err := time.Parse(time.RFC3339Nano, m.Time)
		if err != nil {
			return decode.Report{}, fmt.Errorf("time: %w", err)
		}
		in.Time = at.UnixNano()
	}
	return d.Report(in), nil
}
