package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"pulso/bridge/event"
)

const childEnv = "PULSO_TEST_STORE"

// numbered is the batch after whose commit a store is as numberedState says: each touches several tables, replaces what
// the one before has put in, and removes some of it.
func numbered(n int) *Batch {
	b := &Batch{Checkpoint: event.Position{Epoch: 1, Offset: uint64(n)}}
	for i := range 4 {
		b.Sessions = append(b.Sessions, Session{Client: fmt.Sprintf("c%d", i), Passed: uint64(n)})
		b.Retained = append(b.Retained, Retained{event.Event{Topic: fmt.Sprintf("t%d", i), Payload: payload(n), Time: int64(n)}})
	}
	b.Sessions = append(b.Sessions, Session{Client: fmt.Sprintf("only %d", n)})
	b.Subscribed = []Subscription{{Client: fmt.Sprintf("only %d", n), Filter: "#"}}
	b.Ended = []string{fmt.Sprintf("only %d", n-1)}
	b.Wills = []Will{{Due: int64(n), Event: event.Event{Client: "w"}}}
	b.Groups = []Group{{Name: "g", Filter: "#", Again: []event.Position{b.Checkpoint}}}
	return b
}

func payload(n int) []byte { return []byte(fmt.Sprintf("%0*d", 1+n*997%6000, n)) }

func numberedState(n int) *state {
	m := newState()
	if n > 0 {
		m.apply(numbered(n))
	}
	return m
}

// commitUntilKilled is what the child process does: it commits and tells each number when the commit has returned.
func commitUntilKilled(path string) {
	ctx := context.Background()
	s, err := Open(ctx, Config{Path: path, maxUnwritten: 50})
	if err != nil {
		fmt.Println(err)
		return
	}
	at, err := s.Load(ctx, Loader{})
	for n := int(at.Offset) + 1; err == nil; n++ {
		if err = s.Commit(ctx, numbered(n)); err == nil {
			fmt.Println(n)
		}
	}
	fmt.Println(err)
}

// TestKill ends the process that commits, again and again, and looks at what it left: all that it was told of as
// committed, at most one batch more, and each batch whole.
func TestKill(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	path := newPath(t)
	last := 0
	for range rounds {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		begun := last
		kill := time.AfterFunc(time.Hour, func() {})
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("the child says: %s", lines.Text())
			}
			if last = n; n == begun+1 {
				kill = time.AfterFunc(time.Duration(rand.Int64N(int64(150*time.Millisecond))), func() {
					if err := cmd.Process.Kill(); err != nil {
						t.Error(err)
					}
				})
			}
		}
		kill.Stop()
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child was not killed")
		}
		s := mustOpen(t, Config{Path: path})
		at, err := s.Load(t.Context(), Loader{})
		if n := int(at.Offset); err != nil || n != last && n != last+1 {
			t.Fatalf("batch %d was committed, the store has %d, %v", last, n, err)
		}
		last = int(at.Offset)
		mustHold(t, s, numberedState(last))
		mustClose(t, s)
	}
	t.Logf("%d batches committed in %d lives", last, rounds)
}
