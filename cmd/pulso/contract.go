package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"text/tabwriter"
	"time"

	"pulso/contract"
	"pulso/internal/app"
	"pulso/internal/export"
)

// contractCmd is what devices have promised to send. Most of it works on the file, so the hub may run or not: one that runs knows
// of it within a second. What the past tells, a running hub is asked.
type contractCmd struct {
	Learn  contractLearnCmd  `cmd:"" help:"Propose a schema from what a running hub has seen."`
	Try    contractTryCmd    `cmd:"" help:"Say what a schema would have refused of what a running hub has seen."`
	Set    contractSetCmd    `cmd:"" help:"Make a contract, or a new version of it."`
	Mode   contractModeCmd   `cmd:"" help:"Choose what becomes of messages that break a contract."`
	Show   contractShowCmd   `cmd:"" help:"Print a contract's schema."`
	List   contractListCmd   `cmd:"" help:"List the contracts."`
	Remove contractRemoveCmd `cmd:"" help:"Remove a contract, with all its versions."`
}

// contractsFlags say which hub's contracts a command is about.
type contractsFlags struct {
	Data string `name:"data" env:"PULSO_DATA" default:"pulso-data" placeholder:"DIR" help:"The hub's data folder."`
}

func (f *contractsFlags) edit(change func(*contract.Content) error) error {
	path := app.ContractsFile(f.Data)
	if path == "" {
		return fmt.Errorf("a hub that keeps nothing (%s) keeps no contracts: use its page /contracts", f.Data)
	}
	return contract.Edit(path, change)
}

// askFlags say which running hub is asked.
type askFlags struct {
	URL   string `default:"http://127.0.0.1:8080" env:"PULSO_URL" help:"The hub."`
	Token string `env:"PULSO_TOKEN" help:"Token for a hub with accounts; better in the environment, where others do not see it."`
}

// ask asks the hub, and reads its answer.
func (f *askFlags) ask(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	target, err := url.Parse(f.URL)
	if err != nil {
		return fmt.Errorf("url: %w", err)
	}
	target = target.JoinPath(path)
	target.RawQuery = query.Encode()
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if f.Token != "" {
		request.Header.Set("Authorization", "Bearer "+f.Token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return export.Refusal(response)
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s: the answer is not what it should be: %w", path, err)
	}
	return nil
}

type contractLearnCmd struct {
	askFlags

	Filter string `arg:"" help:"An MQTT topic filter, such as plant/+/climate."`
	Keep   string `placeholder:"NAME" help:"Make it a contract of this name, which observes; else the schema is printed."`
}

// Run proposes a schema.
func (c *contractLearnCmd) Run(ctx context.Context, out io.Writer) error {
	var learned struct {
		Topics   int             `json:"topics"`
		Messages int             `json:"messages"`
		Skipped  int             `json:"skipped"`
		Schema   json.RawMessage `json:"schema"`
	}
	if err := c.ask(ctx, http.MethodGet, "/api/v1/schema/learn", url.Values{"filter": {c.Filter}}, nil, &learned); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "learned from the newest %d messages of %d topics; %d were not JSON\n", learned.Messages, learned.Topics, learned.Skipped)
	if c.Keep == "" {
		return printSchema(out, learned.Schema)
	}
	wish := map[string]any{"filter": c.Filter, "mode": contract.Observe, "schema": learned.Schema}
	var made contract.Contract
	if err := c.ask(ctx, http.MethodPut, "/api/v1/contracts/"+url.PathEscape(c.Keep), nil, wish, &made); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "The contract %s observes %s: version %d.\n", made.Name, c.Filter, made.Last().Number)
	return err
}

func printSchema(out io.Writer, schema json.RawMessage) error {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, schema, "", "  "); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	_, err := fmt.Fprintln(out, pretty.String())
	return err
}

// readSchema reads a file, "-" for the standard input.
func readSchema(path string) (json.RawMessage, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, contract.MaxSchema+1))
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	if _, err := contract.Compile(text); err != nil {
		return nil, err
	}
	return text, nil
}

type contractTryCmd struct {
	askFlags

	Filter string `arg:"" help:"An MQTT topic filter."`
	Schema string `arg:"" help:"A file with a JSON Schema; - for the standard input."`
}

// errBroken says that messages break a schema.
var errBroken = errors.New("messages break the schema")

// Run tries a schema on the past.
func (c *contractTryCmd) Run(ctx context.Context, out io.Writer) error {
	schema, err := readSchema(c.Schema)
	if err != nil {
		return err
	}
	var tried struct {
		contract.Report

		Topics int `json:"topics"`
	}
	wish := map[string]any{"filter": c.Filter, "schema": schema}
	if err := c.ask(ctx, http.MethodPost, "/api/v1/schema/try", nil, wish, &tried); err != nil {
		return err
	}
	fmt.Fprintf(out, "Of the newest %d messages of %d topics %d break it.\n", tried.Checked, tried.Topics, tried.Broken)
	for _, f := range tried.Faults {
		fmt.Fprintf(out, "%8d  %s\n", f.Count, f.Kind)
	}
	for i := range tried.Samples {
		s := &tried.Samples[i]
		fmt.Fprintf(out, "%s  %q  %s  %q\n", s.Time.Format(time.RFC3339), s.Topic, s.Reason, s.Payload)
	}
	if tried.Broken > 0 {
		return errBroken
	}
	return nil
}

type contractSetCmd struct {
	contractsFlags

	Name   string        `arg:"" help:"The contract."`
	Filter string        `arg:"" help:"An MQTT topic filter."`
	Schema string        `arg:"" help:"A file with a JSON Schema; - for the standard input."`
	Mode   contract.Mode `default:"observe" enum:"observe,quarantine,reject" help:"What becomes of messages that break it: observe, quarantine or reject."`
}

// Run makes a contract.
func (c *contractSetCmd) Run(out io.Writer) error {
	schema, err := readSchema(c.Schema)
	if err != nil {
		return err
	}
	number := 0
	err = c.edit(func(content *contract.Content) error {
		k, err := content.Put(c.Name, c.Mode, contract.Version{Filter: c.Filter, Schema: schema, By: os.Getenv("USER")}, time.Now())
		if err == nil {
			number = k.Last().Number
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The contract %s is at version %d: %s.\n", c.Name, number, c.Mode)
	return err
}

type contractModeCmd struct {
	contractsFlags

	Name string        `arg:"" help:"The contract."`
	Mode contract.Mode `arg:"" enum:"observe,quarantine,reject" help:"observe, quarantine or reject."`
}

// Run changes a mode.
func (c *contractModeCmd) Run(out io.Writer) error {
	err := c.edit(func(content *contract.Content) error {
		k := content.Find(c.Name)
		if k == nil {
			return fmt.Errorf("%w: %q", contract.ErrNone, c.Name)
		}
		k.Mode = c.Mode
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The contract %s: %s.\n", c.Name, c.Mode)
	return err
}

type contractShowCmd struct {
	contractsFlags

	Name   string `arg:"" help:"The contract."`
	Number int    `name:"of" help:"An earlier version; else the last." placeholder:"N"`
}

// Run prints a schema.
func (c *contractShowCmd) Run(out io.Writer) error {
	content, err := contract.Read(app.ContractsFile(c.Data))
	if err != nil {
		return err
	}
	k := content.Find(c.Name)
	if k == nil {
		return fmt.Errorf("%w: %q", contract.ErrNone, c.Name)
	}
	for i := range k.Versions {
		if v := &k.Versions[i]; v.Number == c.Number || c.Number == 0 && v == k.Last() {
			return printSchema(out, v.Schema)
		}
	}
	return fmt.Errorf("%w: %s has no version %d, or not any more", contract.ErrNone, c.Name, c.Number)
}

type contractListCmd struct{ contractsFlags }

// Run lists the contracts.
func (c *contractListCmd) Run(out io.Writer) error {
	content, err := contract.Read(app.ContractsFile(c.Data))
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONTRACT\tFILTER\tMODE\tVERSION\tSINCE")
	for i := range content.Contracts {
		k := &content.Contracts[i]
		v := k.Last()
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", k.Name, v.Filter, k.Mode, v.Number, v.Created.Format(time.RFC3339))
	}
	return w.Flush()
}

type contractRemoveCmd struct {
	contractsFlags

	Name string `arg:"" help:"The contract."`
}

// Run removes a contract.
func (c *contractRemoveCmd) Run(out io.Writer) error {
	err := c.edit(func(content *contract.Content) error {
		if !content.Remove(c.Name) {
			return fmt.Errorf("%w: %q", contract.ErrNone, c.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The contract %s is gone.\n", c.Name)
	return err
}
