package profile

import "math"

// A corner is a point of a route and what road leads on from it.
type corner struct {
	lat, lon float64 // degrees
	limit    float64 // km/h on the road to the next corner
	stop     bool    // the vehicle halts here
}

// A leg is the straight road from one corner to the next.
type leg struct {
	from, to corner
	start    float64 // metres from the route's beginning
	length   float64 // metres
	limit    float64 // m/s
	stop     bool
}

// A route is a closed line of legs.
type route struct {
	legs   []leg
	length float64 // metres
}

// newRoute joins the corners and leads from the last back to the first.
func newRoute(corners []corner) *route {
	r := &route{}

	for i, from := range corners {
		to := corners[(i+1)%len(corners)]
		l := leg{from: from, to: to, start: r.length, limit: from.limit / 3.6, stop: from.stop}
		north, east := metres(from, to)
		l.length = math.Hypot(north, east)
		r.length += l.length
		r.legs = append(r.legs, l)
	}

	return r
}

// metres returns how far b lies north and east of a; flat is good enough within a town.
func metres(a, b corner) (float64, float64) {
	const degree = 111_320.0

	return (b.lat - a.lat) * degree, (b.lon - a.lon) * degree * math.Cos((a.lat+b.lat)/2*math.Pi/180)
}

// ahead returns the metres from at forward to mark.
func (r *route) ahead(at, mark float64) float64 {
	if mark >= at {
		return mark - at
	}

	return mark - at + r.length
}

// leg returns the leg that the place at metres along the route lies on.
func (r *route) leg(at float64) leg {
	for _, l := range r.legs {
		if at < l.start+l.length {
			return l
		}
	}

	return r.legs[len(r.legs)-1]
}

// place returns latitude, longitude and heading, in degrees, at metres along the route.
func (r *route) place(at float64) (float64, float64, float64) {
	l := r.leg(at)
	part := (at - l.start) / l.length
	north, east := metres(l.from, l.to)
	heading := math.Mod(math.Atan2(east, north)*180/math.Pi+360, 360)

	return l.from.lat + part*(l.to.lat-l.from.lat), l.from.lon + part*(l.to.lon-l.from.lon), heading
}

// routes are rounds through three towns, drawn by hand: streets of 30 and 50 km/h with stops, and a faster stretch.
var routes = []*route{
	newRoute([]corner{ // Berlin: from the Tiergarten to Alexanderplatz and back along the river
		{52.5145, 13.3501, 50, false},
		{52.5163, 13.3777, 50, true},
		{52.5170, 13.3889, 50, false},
		{52.5178, 13.3985, 30, true},
		{52.5215, 13.4111, 50, true},
		{52.5146, 13.4199, 50, false},
		{52.5101, 13.4155, 30, false},
		{52.5069, 13.3915, 50, true},
		{52.5063, 13.3736, 60, false},
		{52.5023, 13.3626, 60, false},
		{52.5049, 13.3447, 50, true},
	}),
	newRoute([]corner{ // Valencia: the ring, the port and the old river bed
		{39.4699, -0.3763, 30, true},
		{39.4745, -0.3660, 50, false},
		{39.4781, -0.3474, 50, true},
		{39.4700, -0.3310, 50, false},
		{39.4594, -0.3263, 50, true},
		{39.4541, -0.3430, 80, false},
		{39.4506, -0.3716, 80, false},
		{39.4585, -0.3877, 50, true},
		{39.4665, -0.3850, 30, false},
	}),
	newRoute([]corner{ // Leeds: out on the main road and back through the streets
		{53.7997, -1.5492, 30, true},
		{53.8040, -1.5437, 48, false},
		{53.8108, -1.5330, 64, true},
		{53.8230, -1.5280, 96, false},
		{53.8345, -1.5110, 96, false},
		{53.8290, -1.4905, 64, true},
		{53.8123, -1.5010, 48, false},
		{53.8021, -1.5210, 48, true},
		{53.7965, -1.5360, 30, false},
	}),
}
