/** Snippet is a few lines that publish a first value. */
export interface Snippet {
  name: "shell" | "python" | "esp32";
  text: string;
}

/**
 * deviceAddress is where a device reaches the hub: the address that the hub tells, and this page's own host where the hub
 * listens everywhere.
 */
export function deviceAddress(mqtt: string, pageHost: string): { host: string; port: string } {
  const match = /^(?:[a-z]+:\/\/)?(.*):(\d+)$/.exec(mqtt);
  const host = match?.[1] ?? "";
  const everywhere = host === "" || host === "0.0.0.0" || host === "[::]" || host === "::";
  return { host: everywhere ? pageHost : host, port: match?.[2] ?? "1883" };
}

export function snippets(host: string, port: string): Snippet[] {
  return [
    {
      name: "shell",
      text: `mosquitto_pub -h ${host} -p ${port} -q 1 \\
  -t devices/my-first/telemetry \\
  -m '{"temperature": 21.5}'`,
    },
    {
      name: "python",
      text: `# pip install paho-mqtt
import json, time
import paho.mqtt.client as mqtt

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "my-first")
client.connect("${host}", ${port})
client.loop_start()
while True:
    value = {"temperature": 20 + time.time() % 5}
    client.publish("devices/my-first/telemetry", json.dumps(value), qos=1)
    time.sleep(1)`,
    },
    {
      name: "esp32",
      text: `#include <WiFi.h>
#include <PubSubClient.h>  // by Nick O'Leary

WiFiClient net;
PubSubClient mqtt(net);

void setup() {
  WiFi.begin("your-wifi", "your-password");
  while (WiFi.status() != WL_CONNECTED) delay(200);
  mqtt.setServer("${host}", ${port});
}

void loop() {
  if (!mqtt.connected()) mqtt.connect("my-first");
  mqtt.loop();
  String value = "{\\"temperature\\": " + String(temperatureRead()) + "}";
  mqtt.publish("devices/my-first/telemetry", value.c_str());
  delay(1000);
}`,
    },
  ];
}
