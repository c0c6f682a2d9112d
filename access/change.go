package access

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// A Change is one thing that is other in the file than before. It has no secret.
type Change struct {
	// What is "account added", "account changed", "account removed", the same of a role or a namespace, or "sessions ended".
	What string
	// About is the account or role, and what of it is other.
	About string
}

// maxChanges bounds what is told of one change of the file; the last tells of the rest.
const maxChanges = 100

// changesOf sets two contents side by side.
func changesOf(before, now *Content) []Change {
	var list []Change
	list = compare(list, "account", before.Accounts, now.Accounts, func(a *Account) string { return a.ID }, accountDiffers)
	list = compare(list, "namespace", before.Namespaces, now.Namespaces, func(n *Namespace) string { return n.Name },
		func(a, b *Namespace) string {
			if a.Limits == b.Limits {
				return ""
			}
			return limitsNow(b.Limits)
		})
	list = compare(list, "role", before.Roles, now.Roles, func(r *Role) string { return r.Name }, func(a, b *Role) string {
		switch {
		case !slices.Equal(a.Rules, b.Rules):
			return strings.Join(b.Rules, "; ")
		case a.Limits != b.Limits:
			return limitsNow(b.Limits)
		}
		return ""
	})
	for _, e := range now.Ended {
		if !slices.Contains(before.Ended, e) {
			list = append(list, Change{"sessions ended", e.Name})
		}
	}
	if len(list) > maxChanges {
		list = append(list[:maxChanges:maxChanges], Change{"account changed", "and more"})
	}
	return list
}

func compare[T any](list []Change, kind string, before, now []T, name func(*T) string, differs func(a, b *T) string) []Change {
	old := make(map[string]*T, len(before))
	for i := range before {
		old[name(&before[i])] = &before[i]
	}
	for i := range now {
		id := name(&now[i])
		was := old[id]
		delete(old, id)
		if was == nil {
			list = append(list, Change{kind + " added", id})
		} else if how := differs(was, &now[i]); how != "" {
			list = append(list, Change{kind + " changed", id + ": " + how})
		}
	}
	gone := make([]string, 0, len(old))
	for id := range old {
		gone = append(gone, id)
	}
	slices.Sort(gone)
	for _, id := range gone {
		list = append(list, Change{kind + " removed", id})
	}
	return list
}

// accountDiffers says what of an account is other, without its secrets.
func accountDiffers(a, b *Account) string {
	var what []string
	if !slices.Equal(a.Roles, b.Roles) {
		what = append(what, "roles "+strings.Join(b.Roles, ", "))
	}
	if a.Hash != b.Hash {
		what = append(what, "another secret")
	}
	if a.Namespace != b.Namespace {
		what = append(what, "namespace "+b.Namespace)
	}
	if a.Limits != b.Limits {
		what = append(what, limitsNow(b.Limits))
	}
	if a.Disabled != b.Disabled {
		what = append(what, map[bool]string{true: "disabled", false: "enabled"}[b.Disabled])
	}
	for _, t := range b.Tokens {
		if !hasToken(a.Tokens, t.ID) {
			what = append(what, "token "+t.ID+" added")
		}
	}
	for _, t := range a.Tokens {
		if !hasToken(b.Tokens, t.ID) {
			what = append(what, "token "+t.ID+" revoked")
		}
	}
	if len(what) == 0 && !same(a, b) {
		what = append(what, "something else")
	}
	return strings.Join(what, ", ")
}

func limitsNow(l Limits) string {
	if l.IsZero() {
		return "no limits of its own"
	}
	return "limits " + l.String()
}

func hasToken(list []Token, id string) bool {
	return slices.ContainsFunc(list, func(t Token) bool { return t.ID == id })
}

func same(a, b *Account) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
