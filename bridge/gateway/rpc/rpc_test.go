package rpc_test

import (
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"pulso/bridge/gateway/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSessionOverGRPC(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.RPC("gRPC", connect.WithGRPC()))
}

func TestSessionOverConnect(t *testing.T) { gatewaytest.Run(t, gatewaytest.RPC("Connect")) }

func TestSubscribeOverGRPC(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.RPCSubscribe("gRPC", connect.WithGRPC()))
}

func TestSubscribeOverGRPCWeb(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.RPCSubscribe("gRPC-Web", connect.WithGRPCWeb()))
}

func TestSubscribeOverConnectJSON(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.RPCSubscribe("Connect in JSON", connect.WithProtoJSON()))
}
