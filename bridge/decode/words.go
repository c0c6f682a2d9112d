package decode

import "strings"

func words(s string) map[string]struct{} {
	m := make(map[string]struct{})
	for w := range strings.FieldsSeq(s) {
		m[w] = struct{}{}
	}
	return m
}

// The words by which topics are read, all in lower case.
var (
	// markerWords stand before a device's id.
	markerWords = words("device devices thing things gateway gateways")
	// containerWords hold devices, one level below or deeper.
	containerWords = words(`home house haus heim casa sensors sensor devices device nodes rooms building site tele
		telemetry stat data mqtt iot readings v1 v2 v3 zigbee2mqtt shellies esphome json cmd command commands`)
	// partWords are kinds of parts of a device: what follows belongs to the metric.
	partWords = words(`sensor binary_sensor text_sensor light switch climate fan cover number button lock select relay
		input input_event emeter events event status detect valve media_player update`)
	// tailWords say what kind of message it is, or what is to be done with it.
	tailWords = words(`state status telemetry data tele stat attributes availability lwt online connected connection conn
		info announce config set get cmd cmnd command commands event events result values value raw json up down
		rpc sensor sensors report reports readings measurement measurements metrics snapshot debug batch logging
		devices groups definitions message messages log update action request response rejected accepted state_json
		desired ack echo downlink write`)
	// prefixWords at the beginning of what lies behind the device say nothing of the metric.
	prefixWords = words("sensor binary_sensor text_sensor status tele stat telemetry data event events attributes")
	// metricWords are quantities.
	metricWords = words(`temperature temp humidity hum pressure co2 voc tvoc pm1 pm25 pm2_5 pm10 illuminance lux light_level
		brightness battery voltage current power energy frequency rssi snr signal linkquality uptime moisture soil motion
		occupancy presence contact door window flow level volume speed rpm weight distance noise rain wind
		wind_speed latitude longitude location position total count counter`)
	// pluralWords number their devices: the level before them stays in the id.
	pluralWords = words("loadpoints vehicles cars rx tx inverters meters circuits batteries zones units slots")

	// commandWords behind the device, and commandRoots as the first level, address a device; replyWords as the last
	// level only repeat what was asked of it.
	commandWords = words("set get cmd cmnd command commands desired")
	replyWords   = words("rejected accepted request ack echo downlink write")
	commandRoots = words("cmnd cmd command commands")

	announceWords = words("info")

	// statusKeys are keys that speak of presence in the payload of a topic about it.
	statusKeys = words("state status availability connection")

	statusLevels = map[string]statusWord{
		"state": maybeStatus, "status": maybeStatus, "$state": maybeStatus, "conn": maybeStatus, "connection": maybeStatus,
		"availability": surelyStatus, "lwt": surelyStatus, "online": surelyStatus, "connected": surelyStatus,
		"alive": surelyStatus,
	}

	// families are roots of topics whose devices are named by this many levels after them.
	families = map[string]int{
		"tele": 1, "stat": 1, "cmnd": 1, "shellies": 1, "homie": 1, "valetudo": 1, "frigate": 1, "zwave": 1, "wled": 1,
		"emon": 1, "go-echarger": 1, "owntracks": 2, "zigbee2mqtt": wholeTail,
	}

	randomPrefixes = []string{
		"mosq-", "mosq/", "mosqpub", "mosqsub", "mqttx_", "mqttjs_", "mqtt-explorer", "paho", "auto-", "python-mqtt",
		"gmqtt", "rumqtt",
	}
)

// A keyClass says what may become of a value by its key.
type keyClass uint8

const (
	keyPlain keyClass = iota
	// keyTime is a clock: never a reading, perhaps the message's time.
	keyTime
	// keyID identifies something: a text, whatever it looks like.
	keyID
	// keyWord is an enumeration: its words are texts even if they look boolean.
	keyWord
	// keyUnit is the unit of its siblings.
	keyUnit
	// keyHidden is nothing.
	keyHidden
)

var (
	timeKeys = words(`ts time timestamp date datetime epoch tst at gwts since sent_at received_at created_at updated_at
		timestamp_ms time_ms utc localtime _timestamp _time $_time unixtime unix_time senton`)
	idKeys = words(`id uid uuid guid serial serialno serialnumber serial_number sn mac address ip ipaddr ip_address bssid
		ssid version ver fw fw_ver sw hw firmware seq sequence sequencenumber seqno protocol endpoint port f_port fport
		network_address qos msgid messageid majorversion minorversion built build hash hashversion idx imei imsi iccid
		phone deveui devaddr cmd command method token pin pid crc crc16 crc32 checksum rev revision swver fwver hwver
		sw_ver hw_ver build_number buildnumber seqnr seq_nr seq_no seqnum seq_num nodeid deviceid chipid clientid
		order_no orderno lot lotno userid hw_rev sw_rev`)
	wordKeys = words("mode behavior behaviour action event type model kind class preset scene effect")
	unitKeys = words("unit units unit_of_measurement uom")
	// momentKeys are clocks where the value is one, and else what they are: "t" is a temperature as well.
	momentKeys = words(`t dt tm when recorded measured sampled stamp clock rtc unix heartbeat expires exp due zeit fecha`)
	// apartWords in a clock's name say that it tells of something else than the message.
	apartWords = words("boot booted start started begin next until expires expiry exp sunrise sunset due end stop reset restart build installed")
)

// isMoment says by a key's name that a value which looks like a clock is one.
func isMoment(key string) bool {
	lower := strings.ToLower(key)
	return has(momentKeys, lower) || hasSuffix(key, "Time", "At", "Date") || hasSuffix(lower, "_utc", "_epoch") ||
		strings.HasPrefix(lower, "ts_") || strings.HasPrefix(lower, "time_") || strings.HasPrefix(lower, "epoch")
}

// isApart says by a clock's name that it is not the message's: when the device began, when it will do something.
func isApart(key string) bool {
	start := 0
	for i := 1; i <= len(key); i++ {
		if i < len(key) && key[i] != '_' && (key[i] < 'A' || key[i] > 'Z' || key[i-1] < 'a') {
			continue
		}
		if has(apartWords, strings.Trim(key[start:i], "_")) {
			return true
		}
		start = i
	}
	return false
}

// classify says by a key's name what its value may become.
func classify(key string) keyClass {
	lower := strings.TrimLeft(strings.ToLower(key), "$@")
	switch {
	case has(timeKeys, lower), hasSuffix(lower, "_ts", "_time", "_timestamp", "_at", "timestamp", "_date"),
		strings.HasPrefix(lower, "last_") && hasSuffix(lower, "seen", "active", "update", "updated"),
		lower == "lastseen", lower == "lastactive", lower == "lastupdate":
		return keyTime
	case has(idKeys, lower), hasSuffix(lower, "_id", "_uuid", "_version", "_mac", "_ip", "_serial", "version"),
		strings.HasSuffix(key, "Id") && len(key) > 2, strings.HasSuffix(key, "ID") && len(key) > 2:
		return keyID
	case has(unitKeys, lower), hasSuffix(lower, "_unit", "_units"), hasSuffix(key, "Unit", "Units"):
		return keyUnit
	case has(wordKeys, lower), hasSuffix(lower, "_mode", "_behavior", "_action", "_event", "_type", "mode"):
		return keyWord
	default:
		return keyPlain
	}
}

func hasSuffix(s string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}
