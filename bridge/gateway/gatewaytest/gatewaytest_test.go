package gatewaytest_test

import (
	"testing"

	"go.uber.org/goleak"

	"pulso/bridge/gateway/gatewaytest"
	"pulso/bridge/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWebSocketJSON(t *testing.T) { gatewaytest.Run(t, gatewaytest.WebSocket(wire.JSON)) }

func TestWebSocketProto(t *testing.T) { gatewaytest.Run(t, gatewaytest.WebSocket(wire.Proto)) }

func TestAcross(t *testing.T) { gatewaytest.Across(t, gatewaytest.All()...) }

func TestSSESession(t *testing.T) { gatewaytest.Run(t, gatewaytest.SSESession()) }

func TestSSEStream(t *testing.T) { gatewaytest.Run(t, gatewaytest.SSEStream()) }

func TestPoll(t *testing.T) { gatewaytest.Run(t, gatewaytest.Poll()) }
