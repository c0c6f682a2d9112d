// Package access says who may do what: accounts and their secrets, roles made of rules, and the decision on a topic. It
// knows no transport; the broker and the gateways ask it.
//
// A [Policy] is the roles. A [Subject] is somebody's rights under it: immutable, safe for concurrent use, and quick, since it
// remembers what it has decided. A [Directory] is the accounts in their file; it makes a [Grant] for whoever proves to be one,
// and ends it when the account changes.
package access

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"pulso/bridge/event"
)

// A Role is a name for rules. Its text form is what a file holds.
type Role struct {
	Name string `json:"name"`
	// Namespace is whose role it is; empty: everybody may have it.
	Namespace string `json:"namespace,omitempty"`
	// Rules are such as "allow publish,subscribe plant/#".
	Rules []string `json:"rules"`
	// Limits are those of who has the role.
	Limits Limits `json:"limits,omitzero"`
}

// Names of the roles that every hub has.
const (
	RoleAdministrator = "administrator"
	RoleOperator      = "operator"
	RoleViewer        = "viewer"
	RoleDevice        = "device"
	RoleGateway       = "gateway"
)

// BuiltIn are the roles that every hub has. A device may use the topics that have its name among their first four levels,
// which is where nearly all firmware puts it; a gateway speaks for many devices and may use every topic.
func BuiltIn() []Role {
	device := []string{"%u/#", "+/%u/#", "+/+/%u/#", "+/+/+/%u/#"}
	for i, filter := range device {
		device[i] = "allow publish,subscribe " + filter
	}
	return []Role{
		{Name: RoleAdministrator, Rules: []string{"allow all #"}},
		{Name: RoleOperator, Rules: []string{"allow publish,subscribe,history,command #"}},
		{Name: RoleViewer, Rules: []string{"allow subscribe,history #"}},
		{Name: RoleDevice, Rules: device},
		{Name: RoleGateway, Rules: []string{"allow publish,subscribe #"}},
	}
}

// Bounds of a policy.
const (
	maxRoles     = 1_000
	maxRules     = 10_000
	maxRoleRules = 1_000
)

// A Policy is the roles, read and checked.
type Policy struct {
	roles map[string][]Rule
	// namespaces are those of roles that have one.
	namespaces map[string]string
	// clients says that there are rules with %c.
	clients bool

	mu sync.Mutex
	// ready are the rules without placeholders of the sets of roles that have been asked for: all who have one share them.
	ready map[string][]entry
}

// maxReady bounds the sets of roles whose rules are kept ready. Beyond it all are made anew.
const maxReady = 1_000

// NewPolicy reads roles, besides those that are built in. Its error names the role and the rule.
func NewPolicy(roles []Role) (*Policy, error) {
	p := &Policy{roles: make(map[string][]Rule), namespaces: make(map[string]string)}
	builtIn := BuiltIn()
	total := 0
	for i, r := range slices.Concat(builtIn, roles) {
		own := i >= len(builtIn)
		if err := CheckID(r.Name); err != nil {
			return nil, fmt.Errorf("role: %w", err)
		}
		if _, twice := p.roles[r.Name]; twice {
			return nil, fmt.Errorf("%w: role %q is there already", ErrRule, r.Name)
		}
		total += len(r.Rules)
		if own && (len(roles) > maxRoles || len(r.Rules) > maxRoleRules || total > maxRules) {
			return nil, fmt.Errorf("%w: role %q: at most %d roles, %d rules in one and %d in all", ErrRule, r.Name, maxRoles, maxRoleRules, maxRules)
		}
		rules := make([]Rule, len(r.Rules))
		for j, text := range r.Rules {
			rule, err := ParseRule(text)
			if err != nil {
				return nil, fmt.Errorf("role %q: %w", r.Name, err)
			}
			rules[j] = rule
			p.clients = p.clients || strings.Contains(rule.Filter, "%c")
		}
		p.roles[r.Name] = rules
		if r.Namespace != "" {
			p.namespaces[r.Name] = r.Namespace
		}
	}
	return p, nil
}

// Has reports whether there is a role.
func (p *Policy) Has(role string) bool {
	_, ok := p.roles[role]
	return ok
}

// Who is somebody as rules see them: an account's name and roles, and what the placeholders stand for.
type Who struct {
	User, Client, Device string
	// Namespace is where the rules count: below it, and nowhere else. Empty: everywhere.
	Namespace string
	Roles     []string
}

// rulesOf are the rules of a role for somebody: none where it is another namespace's.
func (p *Policy) rulesOf(role, namespace string) []Rule {
	if of := p.namespaces[role]; of != "" && of != namespace {
		return nil
	}
	return p.roles[role]
}

// within has a rule count below a namespace only; false: it counts for nothing there.
func (r Rule) within(namespace string) (Rule, bool) {
	if namespace == "" {
		return r, true
	}
	if beginsReserved(r.Filter) {
		return Rule{}, false
	}
	r.Filter = namespace + "/" + r.Filter
	return r, true
}

// An entry is a rule that is ready to be asked.
type entry struct {
	Rule

	role   string
	levels []string
	// at is the number of shared rules that come before one that is a subject's own.
	at int
}

// A Subject is what somebody may do under one policy. It never changes.
type Subject struct {
	// shared and own are rules, the most specific first; of two alike the one that denies. They are asked as one list.
	shared, own []entry
	key         string

	mu      sync.RWMutex
	decided map[string]Rights // by topic: the rights that are allowed
}

// maxDecided bounds the topics whose decisions a subject remembers. Beyond it all are forgotten, and decided anew.
const maxDecided = 10_000

// Subject is what somebody may do. Roles that do not exist give nothing.
func (p *Policy) Subject(w *Who) *Subject {
	s := &Subject{shared: p.withoutNames(w.Roles, w.Namespace)}
	for _, role := range w.Roles {
		for _, rule := range p.rulesOf(role, w.Namespace) {
			expanded, ok := rule.expand(w)
			if ok && hasNames(rule.Filter) {
				expanded, ok = expanded.within(w.Namespace)
			}
			if ok && hasNames(rule.Filter) {
				s.own = append(s.own, entry{expanded, role, strings.Split(expanded.Filter, "/"), 0})
			}
		}
	}
	slices.SortStableFunc(s.own, compareEntries)
	for i := range s.own {
		s.own[i].at, _ = slices.BinarySearchFunc(s.shared, s.own[i], compareEntries)
	}
	sum := sha256.New()
	for e := range s.rules() {
		_, _ = sum.Write([]byte(e.String() + "\n"))
	}
	s.key = base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
	return s
}

// withoutNames are the rules of some roles that have no placeholders, in order.
func (p *Policy) withoutNames(roles []string, namespace string) []entry {
	key := namespace + "/" + strings.Join(roles, "/")
	p.mu.Lock()
	defer p.mu.Unlock()
	if ready, ok := p.ready[key]; ok {
		return ready
	}
	var entries []entry
	for _, role := range roles {
		for _, rule := range p.rulesOf(role, namespace) {
			if hasNames(rule.Filter) {
				continue
			}
			if rule, ok := rule.within(namespace); ok {
				entries = append(entries, entry{rule, role, strings.Split(rule.Filter, "/"), 0})
			}
		}
	}
	slices.SortStableFunc(entries, compareEntries)
	if len(p.ready) >= maxReady {
		p.ready = nil
	}
	if p.ready == nil {
		p.ready = make(map[string][]entry)
	}
	p.ready[key] = entries
	return entries
}

func compareEntries(a, b entry) int {
	if c := compareFilters(a.levels, b.levels); c != 0 {
		return c
	}
	switch {
	case a.Deny == b.Deny:
		return 0
	case a.Deny:
		return -1
	}
	return 1
}

// rules are all rules, in order.
func (s *Subject) rules() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		own := s.own
		for i := range len(s.shared) + 1 {
			for len(own) > 0 && own[0].at == i {
				if !yield(&own[0]) {
					return
				}
				own = own[1:]
			}
			if i < len(s.shared) && !yield(&s.shared[i]) {
				return
			}
		}
	}
}

// Everybody is the subject of a hub that has no accounts: it may do everything.
func Everybody() *Subject { return everybody }

var everybody = &Subject{key: "everybody", shared: []entry{{Rule: Rule{Rights: All, Filter: "#"}, levels: []string{"#"}}}}

// Key names what the subject may do: two subjects of one key may do the same.
func (s *Subject) Key() string { return s.key }

// May reports whether all of some rights are allowed on a topic.
func (s *Subject) May(r Rights, topic string) bool { return s.allowed(topic)&r == r }

func (s *Subject) allowed(topic string) Rights {
	s.mu.RLock()
	rights, known := s.decided[topic]
	s.mu.RUnlock()
	if known {
		return rights
	}
	rights = s.decide(topic)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.decided == nil || len(s.decided) >= maxDecided {
		s.decided = make(map[string]Rights)
	}
	s.decided[strings.Clone(topic)] = rights
	return rights
}

// decide goes through the rules: for each right the first that matches decides.
func (s *Subject) decide(topic string) Rights {
	topic, limit := living(topic)
	var allowed, done Rights
	for e := range s.rules() {
		if fresh := e.Rights &^ done; fresh != 0 && event.Match(e.Filter, topic) {
			done |= fresh
			if !e.Deny {
				allowed |= fresh
			}
			if done == All {
				break
			}
		}
	}
	return allowed & limit
}

// living is the topic, or the filter, that the rules are asked about, and the rights that there are at the most: what has been set
// aside may be read by who may read the topic that it was sent to.
func living(topic string) (string, Rights) {
	if rest, ok := strings.CutPrefix(topic, event.Dead); ok {
		return rest, Subscribe | History
	}
	return topic, All
}

// A Decision is why somebody may do something, or may not.
type Decision struct {
	Allowed bool
	// Rule decides, and Role is whose it is; empty where no rule matches, which denies.
	Rule, Role string
}

// Explain says which rule decides on one right.
func (s *Subject) Explain(r Rights, topic string) Decision {
	topic, limit := living(topic)
	for e := range s.rules() {
		if e.Rights&r&limit != 0 && event.Match(e.Filter, topic) {
			return Decision{!e.Deny, e.String(), e.role}
		}
	}
	return Decision{}
}

// Reach is of how many of the topics of a filter something holds.
type Reach uint8

// The reaches there are.
const (
	// ReachNone: of none.
	ReachNone Reach = iota
	// ReachSome: of some, perhaps; each is to be asked about.
	ReachSome
	// ReachAll: of all, for certain.
	ReachAll
)

// Reach says of how many of the topics that a filter matches a right is allowed.
func (s *Subject) Reach(r Rights, filter string) Reach {
	filter, limit := living(filter)
	if r &= limit; r == 0 {
		return ReachNone
	}
	levels := strings.Split(filter, "/")
	reach, narrowed := ReachNone, false
	for e := range s.rules() {
		if e.Rights&r == 0 || !overlap(e.levels, levels) {
			continue
		}
		whole := covers(e.levels, levels)
		switch {
		case e.Deny && whole: // and all that is wider than this rule, too
			return reach
		case e.Deny:
			narrowed = true
		case whole && !narrowed:
			return ReachAll
		default:
			reach = ReachSome
		}
	}
	return reach
}
