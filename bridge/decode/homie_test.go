package decode_test

import "testing"

func TestHomie(t *testing.T) {
	listen(t, []heard{
		{"homie/dev/engine/temperature/$unit", "°C", "[dev] ;engine.temperature.$unit:°C unit engine.temperature:°C"},
		{"homie/dev/engine/temperature/$datatype", "float", "[dev] ;engine.temperature.$datatype:float"},
		{"homie/dev/engine/colour", "255,0,0", "[dev] ;engine.colour:255,0,0"},
		{"homie/dev/engine/temperature/$format", "-20:120", "[dev] ;engine.temperature.$format:-20:120"},
		{"homie/dev/engine/temperature", "21.5", "[dev] engine.temperature=21.5 °C;"},
		{"homie/dev/engine/mode/$datatype", "enum", "[dev] ;engine.mode.$datatype:enum"},
		{"homie/dev/engine/mode", "1", "[dev] ;engine.mode:1"},
		{"homie/dev/engine/temperature/set", "30", "[dev, command] ;"},
		{"homie/dev/$name", "My Dev", "[dev, My Dev] ;$name:My Dev"},
		{"homie/dev/$homie", "4.0.0", "[dev, My Dev] ;$homie:4.0.0"},
		{"homie/dev/$fw/version", "1.0", "[dev, My Dev] ;$fw.version:1.0"},
		{"homie/dev/$stats/signal", "60", "[dev, My Dev] $stats.signal=60 %;"},
		{"homie/dev/$stats/interval", "60", "[dev, My Dev] ;$stats.interval:60"},
		{"homie/dev/$localip", "1.2.3.4", "[dev, My Dev] ;$localip:1.2.3.4"},
		{"homie/dev/$state", "alert", "[dev, My Dev] ;$state:alert"},
		{"homie/dev/$state", "lost", "[dev, My Dev, offline] ;"},
		{"homie/dev/$state", "disconnected", "[dev, My Dev, offline] ;"},
		{"homie/dev/engine/$properties", "temperature,mode", "[dev, My Dev] ;engine.$properties:temperature,mode"},
		{"homie/dev/engine/$name", "Engine", "[dev, My Dev] ;engine.$name:Engine"},
		{"homie/$broadcast/alert", "Intruder", "[c1] ;alert:Intruder"},
		{"homie/dev/engine/pct/$datatype", "percent", "[dev, My Dev] ;engine.pct.$datatype:percent"},
		{"homie/dev/engine/pct", "21", "[dev, My Dev] engine.pct=21 %;"},
		{
			"homie/5/car/$description",
			`{"homie":"5.0","version":7,"name":"Car","nodes":{"e":{"name":"E","properties":{"temp":{"unit":"°C","datatype":"float"},` +
				`"col":{"datatype":"color"},"on":{"datatype":"boolean"},"s":{"datatype":"string"},"d":{"datatype":"duration"},` +
				`"dt":{"datatype":"datetime"},"j":{"datatype":"json"}}}}}`,
			"[car, Car] ;version:7 name:Car nodes.e.name:E nodes.e.properties.temp.datatype:float " +
				"nodes.e.properties.col.datatype:color nodes.e.properties.on.datatype:boolean nodes.e.properties.s.datatype:string " +
				"nodes.e.properties.d.datatype:duration nodes.e.properties.dt.datatype:datetime nodes.e.properties.j.datatype:json unit " +
				"e.temp:°C",
		},
		{"homie/5/car/e/temp", "21.5", "[car, Car] e.temp=21.5 °C;"},
		{"homie/5/car/e/col", "rgb,100,100,100", "[car, Car] ;e.col:rgb,100,100,100"},
		{"homie/5/car/e/on", "true", "[car, Car] e.on=1;"},
		{"homie/5/car/e/s", "42", "[car, Car] ;e.s:42"},
		{"homie/5/car/e/d", "PT12H5M46S", "[car, Car] ;e.d:PT12H5M46S"},
		{"homie/5/car/e/dt", "2024-05-01T12:00:00Z", "[car, Car] ;e.dt:2024-05-01T12:00:00Z"},
		{"homie/5/car/e/j", `{"a":1}`, "[car, Car] e.j.a=1;"},
		{"homie/5/car/e/temp/$target", "25", "[car, Car] ;e.temp.$target:25"},
		{"homie/5/car/e/temp/set", "25", "[car, Car, command] ;"},
		{"homie/5/car/$log/warn", "hot", "[car, Car] ;$log.warn:hot"},
		{"homie/5/car/$alert/a1", "hot", "[car, Car] ;$alert.a1:hot"},
		{"homie/5/$broadcast/x/y", "hi", "[c1] ;y:hi"},
		{"homie/5/car/$state", "disconnected", "[car, Car, offline] ;"},
	})
}
