//! Section 10 (geospatial functions), choice C-GEO: GeoJSON records and WKT text, longitude first.
//!
//! Distances are geodesics on the WGS84 ellipsoid; within, overlaps and intersects are planar on longitude
//! and latitude. Both come from the `geo` crate. Invariant: a geometry has finite coordinates inside
//! ±180 and ±90 degrees, so that no measure fails.

use std::str::FromStr;
use std::sync::Arc;

use geo::line_intersection::{LineIntersection, line_intersection};
use geo::line_measures::Distance;
use geo::relate::IntersectionMatrix;
use geo::{Coord, CoordsIter, Geodesic, Geometry, Line, LineString, Point, Polygon, Relate, Validation};
use rewindow_query::{Record, Value};

use crate::arithmetic::as_float;
use crate::numbers::numeric;

/// Most points of a geometry (choice C-GEO).
const POINTS_MAX: usize = 5_000;

/// Most pairs of sides that may meet by their boxes: what relating takes grows with them.
const PAIRS_MAX: usize = 20_000;

/// Most pairs of points between which ST_DISTANCE measures.
const DISTANCES_MAX: usize = 250_000;

/// CreatePoint(latitude, longitude)
pub(crate) fn point(latitude: &Value, longitude: &Value) -> Result<Value, String> {
    let coord = Coord { x: as_float(&numeric(longitude)?), y: as_float(&numeric(latitude)?) };
    Ok(geo_json("Point", position(on_earth(coord)?)))
}

/// CreateLineString(point, point, …)
pub(crate) fn line_string(points: &[Value]) -> Result<Value, String> {
    let coords = coords(points)?;
    if coords.len() < 2 {
        return Err("a line string has at least two points".to_owned());
    }
    Ok(geo_json("LineString", positions(coords)))
}

/// CreatePolygon(point, point, …): one ring, closed if it is not.
pub(crate) fn polygon(points: &[Value]) -> Result<Value, String> {
    let ring = closed(coords(points)?)?;
    Ok(geo_json("Polygon", Value::Array([positions(ring)].into())))
}

/// ST_DISTANCE in metres.
pub(crate) fn distance(a: &Value, b: &Value) -> Result<Value, String> {
    let (a, b) = (geometry(a)?, geometry(b)?);
    if let (Geometry::Point(a), Geometry::Point(b)) = (&a, &b) {
        return Ok(Value::Float(Geodesic.distance(*a, *b)));
    }
    if a.coords_count() * b.coords_count() > DISTANCES_MAX {
        return Err(format!("a distance is taken of at most {DISTANCES_MAX} pairs of points"));
    }
    if relate(&a, &b)?.is_intersects() {
        return Ok(Value::Float(0.0));
    }
    let ways = to_segments(&a, &b).chain(to_segments(&b, &a));
    Ok(Value::Float(ways.fold(f64::INFINITY, f64::min)))
}

/// ST_WITHIN: 1 if `a` lies inside of `b`.
pub(crate) fn within(a: &Value, b: &Value) -> Result<Value, String> {
    Ok(Value::Int(relate(&geometry(a)?, &geometry(b)?)?.is_within().into()))
}

/// ST_OVERLAPS
pub(crate) fn overlaps(a: &Value, b: &Value) -> Result<Value, String> {
    Ok(Value::Int(relate(&geometry(a)?, &geometry(b)?)?.is_overlaps().into()))
}

/// ST_INTERSECTS
pub(crate) fn intersects(a: &Value, b: &Value) -> Result<Value, String> {
    Ok(Value::Int(relate(&geometry(a)?, &geometry(b)?)?.is_intersects().into()))
}

/// How two geometries lie to each other, if that can be said in bounded time.
fn relate(a: &Geometry, b: &Geometry) -> Result<IntersectionMatrix, String> {
    few_pairs(&[segments(a), segments(b)].concat())?;
    Ok(a.relate(b))
}

/// Of all pairs of sides only so many have boxes, borders included, with a point in common.
fn few_pairs(sides: &[(Coord, Coord)]) -> Result<(), String> {
    let apart = |(a, b): (f64, f64), (c, d): (f64, f64)| a.max(b) < c.min(d) || c.max(d) < a.min(b);
    let meet = |(p, q): &(Coord, Coord), (r, s): &(Coord, Coord)| {
        !apart((p.x, q.x), (r.x, s.x)) && !apart((p.y, q.y), (r.y, s.y))
    };
    let mut pairs = 0;
    for (at, side) in sides.iter().enumerate() {
        pairs += sides[at + 1..].iter().filter(|other| meet(side, other)).count();
        if pairs > PAIRS_MAX {
            return Err(format!("more than {PAIRS_MAX} pairs of sides may meet"));
        }
    }
    Ok(())
}

/// The geodesics from each vertex of `a` to the planar nearest point on each segment of `b`.
fn to_segments<'a>(a: &'a Geometry, b: &'a Geometry) -> impl Iterator<Item = f64> + 'a {
    let segments = segments(b);
    a.coords_iter().flat_map(move |p| {
        let to = |&(u, v): &(Coord, Coord)| Geodesic.distance(Point(p), Point(nearest_on(p, u, v)));
        segments.iter().map(to).collect::<Vec<f64>>()
    })
}

/// Pairs of neighbouring vertices; a point is a segment without length.
fn segments(geometry: &Geometry) -> Vec<(Coord, Coord)> {
    let lines: Vec<&LineString> = match geometry {
        Geometry::LineString(line) => vec![line],
        Geometry::Polygon(polygon) => {
            std::iter::once(polygon.exterior()).chain(polygon.interiors()).collect()
        }
        _ => return geometry.coords_iter().map(|coord| (coord, coord)).collect(),
    };
    lines.into_iter().flat_map(|line| line.0.windows(2).map(|pair| (pair[0], pair[1]))).collect()
}

/// The point of the segment `uv` that is nearest to `p` in the plane.
fn nearest_on(p: Coord, u: Coord, v: Coord) -> Coord {
    let (dx, dy) = (v.x - u.x, v.y - u.y);
    let square = dx * dx + dy * dy;
    if square == 0.0 {
        return u;
    }
    let t = (((p.x - u.x) * dx + (p.y - u.y) * dy) / square).clamp(0.0, 1.0);
    Coord { x: u.x + t * dx, y: u.y + t * dy }
}

/// A geometry out of GeoJSON or WKT.
fn geometry(value: &Value) -> Result<Geometry, String> {
    let found = match value {
        Value::Record(record) => from_geo_json(record),
        Value::Text(text) => from_wkt(text),
        _ => None,
    };
    let geometry = found.ok_or_else(|| format!("{value} is no point, line string or polygon"))?;
    few_points(&geometry)?;
    geometry.coords_iter().try_for_each(|coord| on_earth(coord).map(|_| ()))?;
    match geometry {
        Geometry::LineString(line) if line.0.len() < 2 => Err("a line string has two points".to_owned()),
        Geometry::Polygon(polygon) => {
            let (exterior, interiors) = polygon.into_inner();
            let ring = |line: LineString| closed(line.0).map(LineString);
            let interiors: Result<Vec<LineString>, String> = interiors.into_iter().map(ring).collect();
            let polygon = Polygon::new(ring(exterior)?, interiors?);
            let whole = Geometry::Polygon(polygon.clone());
            few_points(&whole)?; // rings may have been closed
            few_pairs(&segments(&whole))?;
            if std::iter::once(polygon.exterior()).chain(polygon.interiors()).any(turns_back) {
                return Err("a ring of the polygon runs back along itself".to_owned());
            }
            // How two of them lie is defined for valid ones only.
            polygon.check_validation().map_err(|error| format!("the polygon is not valid: {error}"))?;
            Ok(Geometry::Polygon(polygon))
        }
        geometry => Ok(geometry),
    }
}

fn few_points(geometry: &Geometry) -> Result<(), String> {
    match geometry.coords_count() {
        count if count > POINTS_MAX => Err(format!("{count} points are too many: {POINTS_MAX} at most")),
        _ => Ok(()),
    }
}

/// Only the three kinds are read at all: collections could be nested without bound.
fn from_wkt(text: &str) -> Option<Geometry> {
    let kind = text.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next()?.to_ascii_uppercase();
    if !["POINT", "LINESTRING", "POLYGON"].contains(&kind.as_str()) {
        return None;
    }
    let geometry = Geometry::try_from(wkt::Wkt::<f64>::from_str(text).ok()?).ok()?;
    // An empty point is read as no points at all.
    matches!(geometry, Geometry::Point(_) | Geometry::LineString(_) | Geometry::Polygon(_))
        .then_some(geometry)
}

fn from_geo_json(record: &Record) -> Option<Geometry> {
    let Some(Value::Text(kind)) = record.get("type") else { return None };
    let coordinates = record.get("coordinates")?;
    Some(match &**kind {
        "Point" => Geometry::Point(Point(coord(coordinates)?)),
        "LineString" => Geometry::LineString(line(coordinates)?),
        "Polygon" => {
            let Value::Array(rings) = coordinates else { return None };
            // Positions instead of rings are the one ring there is (choice C-GEO).
            let rings: Option<Vec<LineString>> = match line(coordinates) {
                Some(ring) => Some(vec![ring]),
                None => rings.iter().map(line).collect(),
            };
            let mut rings = rings?.into_iter();
            Geometry::Polygon(Polygon::new(rings.next()?, rings.collect()))
        }
        _ => return None,
    })
}

fn line(value: &Value) -> Option<LineString> {
    let Value::Array(elements) = value else { return None };
    elements.iter().map(coord).collect::<Option<Vec<Coord>>>().map(LineString)
}

fn coord(value: &Value) -> Option<Coord> {
    let Value::Array(elements) = value else { return None };
    let number = |place: usize| match elements.get(place)? {
        Value::Bit(_) => None, // `true` is no coordinate
        value => Some(as_float(&numeric(value).ok()?)),
    };
    Some(Coord { x: number(0)?, y: number(1)? })
}

fn on_earth(coord: Coord) -> Result<Coord, String> {
    if coord.x.abs() <= 180.0 && coord.y.abs() <= 90.0 {
        Ok(coord)
    } else {
        Err(format!("longitude {} and latitude {} are not on Earth", coord.x, coord.y))
    }
}

/// The points of a CreateLineString or CreatePolygon.
fn coords(points: &[Value]) -> Result<Vec<Coord>, String> {
    let coord = |value: &Value| match geometry(value)? {
        Geometry::Point(point) => Ok(point.0),
        _ => Err(format!("{value} is no point")),
    };
    points.iter().map(coord).collect()
}

/// The ring with its first point at its end; at least three of its points differ.
fn closed(mut ring: Vec<Coord>) -> Result<Vec<Coord>, String> {
    let mut different: Vec<Coord> = Vec::new();
    for coord in &ring {
        if !different.contains(coord) {
            different.push(*coord);
        }
    }
    if different.len() < 3 {
        return Err("a polygon has at least three different points".to_owned());
    }
    if ring.first() != ring.last() {
        ring.push(ring[0]);
    }
    Ok(ring)
}

/// Whether a side of a ring runs back along the one before it, which the library's check does not see.
fn turns_back(ring: &LineString) -> bool {
    let sides: Vec<Line> = ring.lines().filter(|side| side.start != side.end).collect();
    (0..sides.len()).any(|at| {
        let (side, next) = (sides[at], sides[(at + 1) % sides.len()]);
        matches!(line_intersection(side, next), Some(LineIntersection::Collinear { .. }))
    })
}

fn geo_json(kind: &str, coordinates: Value) -> Value {
    let members = vec![("type".into(), Value::text(kind)), ("coordinates".into(), coordinates)];
    Value::Record(Arc::new(Record::new(members)))
}

fn position(coord: Coord) -> Value {
    Value::Array([Value::Float(coord.x), Value::Float(coord.y)].into())
}

fn positions(coords: Vec<Coord>) -> Value {
    Value::Array(coords.into_iter().map(position).collect())
}
