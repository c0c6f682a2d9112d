package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"pulso/access/meter"
	"pulso/bridge/event"
	"pulso/contract"
)

const (
	// maxChannels bounds the topics without a contract that are described.
	maxChannels = 200
	// maxLearnedFrom is how many messages of each are learned from.
	maxLearnedFrom = 10
)

// object is one of JSON.
type object = map[string]any

// ServeAsync describes what devices send as AsyncAPI 3.0: the contracts with what was seen of them, and the topics that have none
// with what their newest messages look like.
func (h *Handler) ServeAsync(w http.ResponseWriter, r *http.Request) {
	if h.refuser.Method(w, r, http.MethodGet) {
		return
	}
	select {
	case h.reading <- struct{}{}:
		defer func() { <-h.reading }()
	default:
		h.refuser.Error(w, errBusy())
		return
	}
	h.answer(w, h.describe(r))
}

// A description is an AsyncAPI document that is being written.
type description struct{ channels, operations, messages object }

func (h *Handler) describe(r *http.Request) object {
	d := description{object{}, object{}, object{}}
	contracts := h.visible(r)
	whole := event.ScopeOf(r.Context()) == nil
	for i := range contracts {
		k := &contracts[i]
		v := k.Last()
		channel := object{"address": address(v.Filter), "x-filter": v.Filter, "x-contract": object{
			"name": k.Name, "version": v.Number, "mode": k.Mode,
		}}
		if whole {
			channel["x-observed"] = object{"since": k.Seen.Since, "checked": k.Seen.Checked, "broken": k.Seen.Broken, "faults": k.Seen.Faults}
		}
		if names := parameters(v.Filter); len(names) > 0 {
			channel["parameters"] = names
		}
		d.add(k.Name, channel, payload(v, k.Name))
	}
	h.describeOthers(r, &d, contracts)
	doc := object{
		"asyncapi": "3.0.0", "info": object{
			"title": "Pulso", "version": cmp.Or(h.cfg.Version, "unknown"),
			"description": "What devices send: contracts, and topics seen that have none.",
		},
		"defaultContentType": "application/json", "channels": d.channels, "operations": d.operations,
		"components": object{"messages": d.messages},
	}
	if h.cfg.Address != "" {
		doc["servers"] = object{"mqtt": object{"host": h.cfg.Address, "protocol": "mqtt"}}
	}
	return doc
}

// describeOthers adds the topics that no contract covers.
func (h *Handler) describeOthers(r *http.Request, d *description, contracts []contract.Watched) {
	for _, t := range h.cfg.Topics(event.ScopeOf(r.Context()), maxChannels) {
		covered := strings.HasPrefix(t.Name, "$")
		for i := range contracts {
			covered = covered || event.Match(contracts[i].Last().Filter, t.Name)
		}
		if covered {
			continue
		}
		var l contract.Learner
		events, err := h.cfg.Log.Last(t.Name, event.Position{}, maxLearnedFrom)
		if err == nil {
			meter.Of(r.Context()).Read(len(events))
			for i := range events {
				l.Add(events[i].Payload)
			}
		}
		var shape any
		if schema, err := l.Schema(); err == nil {
			shape = object{"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": schema}
		}
		id := "topic-" + identifier(t.Name)
		for n := 2; d.channels[id] != nil; n++ {
			id = fmt.Sprintf("topic-%s-%d", identifier(t.Name), n)
		}
		d.add(id, object{"address": address(t.Name), "x-observed": object{
			"messages": t.Messages, "rate": t.Rate, "first": t.First.UTC(), "last": t.Last.UTC(),
		}}, shape)
	}
}

// add adds a channel, the message on it, and that the hub receives it.
func (d *description) add(id string, channel object, payload any) {
	message := object{"name": id}
	if payload != nil {
		message["payload"] = payload
		message["contentType"] = "application/json"
	}
	d.messages[id] = message
	channel["messages"] = object{id: object{"$ref": "#/components/messages/" + id}}
	d.channels[id] = channel
	d.operations["receive-"+id] = object{"action": "receive", "channel": object{"$ref": "#/channels/" + id}}
}

// payload is the schema of a version. Its references are to itself, so it has a name of its own.
func payload(v *contract.Version, name string) any {
	var schema object
	if json.Unmarshal(v.Schema, &schema) != nil { // true or false
		return object{"schemaFormat": "application/schema+json;version=draft-2020-12", "schema": v.Schema}
	}
	format := "application/schema+json;version=draft-2020-12"
	if said, ok := schema["$schema"].(string); ok {
		for _, draft := range []string{"04", "06", "07"} {
			if strings.Contains(said, "draft-"+draft) {
				format = "application/schema+json;version=draft-" + draft
			}
		}
	}
	if _, has := schema["$id"]; !has {
		schema["$id"] = fmt.Sprintf("urn:pulso:contract:%s:%d", name, v.Number)
	}
	return object{"schemaFormat": format, "schema": schema}
}

// address is a filter as a URI template (RFC 6570), its wildcards as parameters.
func address(filter string) string {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		switch level {
		case "+", "#":
			levels[i] = "{" + parameter(i, level) + "}"
		default:
			levels[i] = strings.NewReplacer("{", url.PathEscape("{"), "}", url.PathEscape("}")).Replace(level)
		}
	}
	return strings.Join(levels, "/")
}

func parameter(i int, level string) string {
	if level == "#" {
		return "rest"
	}
	return fmt.Sprintf("level%d", i+1)
}

func parameters(filter string) object {
	names := object{}
	for i, level := range strings.Split(filter, "/") {
		switch level {
		case "+":
			names[parameter(i, level)] = object{"description": "one level"}
		case "#":
			names[parameter(i, level)] = object{"description": "any number of levels, none too"}
		}
	}
	return names
}

// identifier is a name as AsyncAPI lets a component have it.
func identifier(topic string) string {
	id := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_') {
			return r
		}
		return '-'
	}, topic)
	return id[:min(len(id), 100)]
}
