module pulso/test/interop

go 1.26.7

require (
	github.com/eclipse/paho.golang v0.23.0
	github.com/eclipse/paho.mqtt.golang v1.5.1
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
	pulso v0.0.0
)

require (
	github.com/gorilla/websocket v1.5.4-0.20250319132907-e064f32e3674 // indirect
	golang.org/x/net v0.61.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261012220534-4341edf3f941 // indirect
)

replace pulso => ../..

// The release: a module asks for a later commit, which prefers the subprotocol that the client has first.
replace github.com/gorilla/websocket => github.com/gorilla/websocket v1.5.3
