package interop

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	pulsov1 "pulso/internal/gen/pulso/v1"
	"pulso/test/internal/hub"
)

const (
	streamService       = "/pulso.v1.StreamService/"
	publishProcedure    = streamService + "Publish"
	subscribeProcedure  = streamService + "Subscribe"
	connectTypeOfJSON   = "Content-Type: application/connect+json"
	connectEnvelopeSize = 5
)

// dialGRPC connects gRPC's own client, with a window that holds little.
func dialGRPC(t *testing.T, h *hub.Hub) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(h.HTTP, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(authorization{}),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(64<<10), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// authorization is how gRPC's client says who it is.
type authorization struct{}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (authorization) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	metadata := map[string]string{}
	if hub.Authorization != "" {
		metadata["authorization"] = hub.Authorization
	}
	return metadata, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (authorization) RequireTransportSecurity() bool { return false }

func publishGRPC(ctx context.Context, c *grpc.ClientConn, topic, payload string) error {
	request := &pulsov1.PublishRequest{Publish: &pulsov1.Publish{Topic: topic, Body: &pulsov1.Publish_PayloadText{PayloadText: payload}}}
	return c.Invoke(ctx, publishProcedure, request, new(pulsov1.PublishResponse))
}

// subscribeGRPC begins a Subscribe and waits for its first message.
func subscribeGRPC(ctx context.Context, t *testing.T, c *grpc.ClientConn, s *pulsov1.Subscribe) grpc.ClientStream {
	t.Helper()
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, subscribeProcedure)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(&pulsov1.SubscribeRequest{Subscribe: s}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	var first pulsov1.SubscribeResponse
	if err := stream.RecvMsg(&first); err != nil {
		t.Fatal(err)
	}
	if first.GetMessage().GetSubscribed() == nil {
		t.Fatalf("first came %v", &first)
	}
	return stream
}

// events reads until it has seen the payloads from..to-1, in order, and returns the position after them.
func events(t *testing.T, from, to int, next func() (*pulsov1.Message, error)) (position string) {
	t.Helper()
	for from < to {
		m, err := next()
		if err != nil {
			t.Fatalf("waiting for %d: %v", from, err)
		}
		if m.GetGap() != nil {
			t.Fatalf("waiting for %d: %v", from, m)
		}
		for _, e := range m.GetFrame().GetEvents() {
			text := e.GetPayload() + e.GetPayloadText()
			if !strings.HasPrefix(text, fmt.Sprintf("%d ", from)) {
				t.Fatalf("waiting for %d: %.20q", from, text)
			}
			from++
		}
		if p := m.GetFrame().GetPosition(); p != "" {
			position = p
		}
	}
	return position
}

// What gRPC's own client sees: publishes, a stream, one that it does not read for a while, errors, its own deadline.
func TestGRPC(t *testing.T) {
	h := hub.Start(t)
	c := dialGRPC(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	stream := subscribeGRPC(ctx, t, c, &pulsov1.Subscribe{Filters: []string{"a/#"}, Rate: 1000})
	lazy := subscribeGRPC(ctx, t, dialGRPC(t, h), &pulsov1.Subscribe{Filters: []string{"a/#"}, Rate: 1000})
	next := func(s grpc.ClientStream) func() (*pulsov1.Message, error) {
		return func() (*pulsov1.Message, error) {
			var m pulsov1.SubscribeResponse
			err := s.RecvMsg(&m)
			return m.GetMessage(), err
		}
	}
	const many = 400 // of 8 KiB: far more than the windows hold
	for n := range many {
		if err := publishGRPC(ctx, c, "a/b", fmt.Sprintf("%d %s", n, strings.Repeat("x", 8<<10))); err != nil {
			t.Fatal(err)
		}
	}
	events(t, 0, many, next(stream))
	events(t, 0, many, next(lazy))

	for _, bad := range []struct {
		topic string
		want  codes.Code
		code  string
	}{{"a/#", codes.InvalidArgument, "invalid_topic"}, {"$SYS/x", codes.PermissionDenied, "forbidden"}} {
		got := status.Convert(publishGRPC(ctx, c, bad.topic, "x"))
		details := got.Details()
		if got.Code() != bad.want || got.Message() == "" || len(details) != 1 {
			t.Errorf("publish to %s: %v", bad.topic, got)
			continue
		}
		if e, ok := details[0].(*pulsov1.Error); !ok || e.GetCode() != bad.code {
			t.Errorf("publish to %s: %v", bad.topic, details)
		}
	}
	short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
	defer stop()
	timed := subscribeGRPC(short, t, c, &pulsov1.Subscribe{Filters: []string{"nothing"}})
	if _, err := next(timed)(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("after the client's deadline: %v", err)
	}
	h.Stop()
	_, err := next(stream)()
	if status.Code(err) != codes.Unavailable || stream.Trailer().Get("pulso-close-name") == nil {
		t.Errorf("from a hub that stops: %v, %v", err, stream.Trailer())
	}
}

// A session of gRPC's own client is cut off in the middle, and what begins at its position has what it missed.
func TestGRPCSession(t *testing.T) {
	h := hub.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	publisher, c := dialGRPC(t, h), dialGRPC(t, h)
	session := func(c *grpc.ClientConn, from string) (grpc.ClientStream, func() (*pulsov1.Message, error)) {
		s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, streamService+"Session")
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range []*pulsov1.Command{
			{Id: 1, Command: &pulsov1.Command_Hello{Hello: &pulsov1.Hello{Client: "interop"}}},
			{Id: 2, Command: &pulsov1.Command_Subscribe{Subscribe: &pulsov1.Subscribe{Filters: []string{"a/#"}, From: from, Rate: 1000}}},
		} {
			if err := s.SendMsg(&pulsov1.SessionRequest{Command: command}); err != nil {
				t.Fatal(err)
			}
		}
		next := func() (*pulsov1.Message, error) {
			var m pulsov1.SessionResponse
			err := s.RecvMsg(&m)
			return m.GetMessage(), err
		}
		if m, err := next(); m.GetWelcome().GetSession() == "" {
			t.Fatalf("no welcome: %v, %v", m, err)
		}
		if m, err := next(); m.GetSubscribed() == nil || m.GetSubscribed().GetRecovered() != (from != "") {
			t.Fatalf("not subscribed: %v, %v", m, err)
		}
		return s, next
	}
	publish := func(from, to int) {
		for n := from; n < to; n++ {
			if err := publishGRPC(ctx, publisher, "a/b", fmt.Sprintf("%d ", n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, next := session(c, "")
	publish(0, 50)
	position := events(t, 0, 50, next)
	publish(50, 60) // of which it may have some, and say nothing
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	publish(60, 100)
	s, next := session(dialGRPC(t, h), position)
	events(t, 50, 100, next)
	if err := s.SendMsg(&pulsov1.SessionRequest{Command: &pulsov1.Command{Id: 3, Command: &pulsov1.Command_Ping{Ping: new(pulsov1.Ping)}}}); err != nil {
		t.Fatal(err)
	}
	if m, err := next(); err != nil || m.GetPong() == nil || m.GetId() != 3 {
		t.Errorf("%v, %v", m, err)
	}
}

// curl publishes in JSON, and reads a stream of JSON in Connect's envelopes.
func TestCurl(t *testing.T) {
	curl := hub.Program(t, "curl")
	h, who := hub.Start(t), "Authorization: "+hub.Authorization // without a value curl leaves it out
	request := `{"subscribe":{"filters":["a/#"]}}`
	file := filepath.Join(t.TempDir(), "request")
	if err := os.WriteFile(file, append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(request))), request...), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	listener := exec.CommandContext(ctx, curl, "-sSN", "-H", connectTypeOfJSON, "-H", who, "--data-binary", "@"+file, "http://"+h.HTTP+subscribeProcedure)
	out, err := listener.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = listener.Wait() // killed by the line above
	}()
	next := func() *pulsov1.Message {
		var head [connectEnvelopeSize]byte
		if _, err := io.ReadFull(out, head[:]); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(out, body); err != nil {
			t.Fatal(err)
		}
		var response pulsov1.SubscribeResponse
		if err := protojson.Unmarshal(body, &response); err != nil || head[0] != 0 {
			t.Fatalf("%d %s: %v", head[0], body, err)
		}
		return response.GetMessage()
	}
	if m := next(); m.GetSubscribed().GetPosition() == "" {
		t.Fatalf("first came %v", m)
	}
	publish := func(body string) string {
		publisher := exec.CommandContext(ctx, curl, "-sS", "-H", "Content-Type: application/json", "-H", who, "-d", body, "http://"+h.HTTP+publishProcedure)
		answer, err := publisher.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		return string(answer)
	}
	if answer := publish(`{"publish":{"topic":"a/b","payload":"{\"on\":true}"}}`); !strings.Contains(answer, `"position":`) {
		t.Errorf("published: %s", answer)
	}
	if m := next(); len(m.GetFrame().GetEvents()) != 1 || m.GetFrame().GetEvents()[0].GetPayload() != `{"on":true}` {
		t.Errorf("then came %v", m)
	}
	for body, want := range map[string]string{
		`{"publish":{"topic":"a/#","payload":"1"}}`: "invalid_topic", `{"publish":{"topik":"a"}}`: "topik", `{`: "invalid_argument",
	} {
		if answer := publish(body); !strings.Contains(answer, want) || !strings.Contains(answer, `"code":"invalid_argument"`) {
			t.Errorf("%s: %s", body, answer)
		}
	}
}
