package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"pulso/access"
	"pulso/access/audit"
	"pulso/access/gate"
	"pulso/access/jwt"
	"pulso/bridge/event"
	"pulso/broker"
)

// accessFile is the file of accounts in the data folder, sessionsFile that of who has logged in.
const (
	accessFile   = "access.json"
	sessionsFile = "sessions.json"
)

// AccessFile is the file of a data folder that holds the accounts; empty where nothing is kept.
func AccessFile(data string) string {
	if data == InMemory {
		return ""
	}
	return filepath.Join(data, accessFile)
}

// buildAccess opens the accounts and what stands before all requests, and reads what the hub proves its own name with.
func (h *Hub) buildAccess() (err error) {
	if h.certs, err = newCertificates(&h.cfg, h.logger.With("part", "tls"), h.registry); err != nil {
		return err
	}
	h.recorder = newRecorder(h)
	h.records, h.notes = audit.NewView(), audit.NewNotes(h.recorder.put, time.Now)
	if h.verifier, err = jwt.New(jwt.Config{Issuers: h.cfg.JWT, Logger: h.logger.With("part", "access"), Metrics: h.registry}); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	provider, err := h.buildOpenID()
	if err != nil {
		return err
	}
	h.accounts, err = access.Open(access.Config{
		Verify: vouched(h.verifier), Vouched: provider != nil, Path: AccessFile(h.cfg.Data), OnChange: h.accountsChanged,
		Limits: h.cfg.accountLimits(), Logger: h.logger.With("part", "access"), Metrics: h.registry,
	})
	if err != nil {
		return err
	}
	h.gate = gate.New(gate.Config{
		OpenID: provider, OpenIDRoles: h.cfg.OIDCRoles, OpenIDLasts: h.cfg.OIDCSession,
		Directory: h.accounts, Path: h.kept(sessionsFile), Audit: h.recorder.put, Records: h.newestRecords, Readers: h.records.Readers,
		Logger: h.logger.With("part", "access"), Metrics: h.registry,
	})
	return nil
}

// setupURL is the link by which the first person is made; empty: there can be none.
func (h *Hub) setupURL() string {
	path := h.gate.SetupPathWithCode()
	if path == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(h.HTTPAddr())
	if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port) + path
}

// namespaces are the names of those there are.
func (h *Hub) namespaces() (names []string) {
	for _, n := range h.accounts.Content().Namespaces {
		names = append(names, n.Name)
	}
	return names
}

// followNamespaces tells the decoder of namespaces that are made and removed, until ctx ends.
func (h *Hub) followNamespaces(ctx context.Context) error {
	for {
		changed := h.accounts.Changed()
		h.decoder.Namespaces(h.namespaces())
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// vouched says who comes with a JSON Web Token; nil where no issuer is configured.
func vouched(v *jwt.Verifier) func(ctx context.Context, token string) (*access.Outsider, error) {
	if !v.Any() {
		return nil
	}
	return func(ctx context.Context, token string) (*access.Outsider, error) {
		c, err := v.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		return &access.Outsider{Name: c.Issuer + ":" + c.Subject, Subject: c.Subject, Roles: c.Roles, Expires: c.Expires}, nil
	}
}

// newestRecords are the newest of the audit.
func (h *Hub) newestRecords(limit int) []audit.Record {
	list, _ := h.records.Newest("", 0, limit)
	return list
}

// authenticate lets MQTT clients in.
func (h *Hub) authenticate(ctx context.Context, c broker.Credentials) (broker.Guest, error) {
	grant, err := h.gate.Authenticate(ctx, access.Credentials{
		User: c.User, Password: string(c.Password), Client: c.Client, Certificate: c.Certificate,
	}, c.Remote)
	switch {
	case err == nil && grant.Account == "":
		return stranger{grant}, nil
	case err == nil:
		return guest{grant}, nil
	case errors.Is(err, access.ErrDenied):
		return nil, broker.ErrDenied
	}
	return nil, errors.Join(broker.ErrBusy, err)
}

// mayWill reports whether an account may still leave a will.
func (h *Hub) mayWill(account, client, topic string) bool {
	if !h.accounts.Enabled() {
		return true
	}
	d, err := h.accounts.Explain(account, client, access.Publish, topic)
	return err == nil && d.Allowed
}

// A guest is an account, as the broker asks about it.
type guest struct{ *access.Grant }

// MayPublish implements [broker.Guest]. Who was sent a command may answer it: the answer counts by the command's id, which nobody
// else knows.
func (g guest) MayPublish(topic string) bool {
	return topic == event.ResponseTopic || g.Grant.MayPublish(topic)
}

// While implements [broker.Guest].
func (g guest) While(cut func()) (release func()) { return g.Grant.While(func(bool) { cut() }) }

// A stranger is anybody while there are no accounts.
type stranger struct{ *access.Grant }

func (stranger) Name() string                   { return "" }
func (stranger) MayPublish(string) bool         { return true }
func (stranger) MaySubscribe(string, bool) bool { return true }
func (stranger) MayHear(string) bool            { return true }

// While implements [broker.Guest].
func (s stranger) While(cut func()) (release func()) { return guest(s).While(cut) }
