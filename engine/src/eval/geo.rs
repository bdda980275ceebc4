//! Geospatial functions (section 10, choice C-GEO): GeoJSON with longitude first, or WKT.
//!
//! Predicates are planar on longitude and latitude, distances geodesics on WGS84; both are the library's.
//! Knows no columns. Invariant: a geometry that was read has coordinates on the globe.

use std::sync::Arc;

use geo::line_intersection::{LineIntersection, line_intersection};
use geo::{
    Coord, CoordsIter, Distance, Geodesic, Geometry, Line, LineString, Point, Polygon, Rect, Relate,
    Validation,
};
use rewindow_query::expr::Function;
use rewindow_query::{Record, Value};
use wkt::Wkt;

use super::arithmetic::{number, wrong};

/// What a geometry, two of them, and a distance may hold at most, so that time is bounded (C-GEO).
const POINTS_MAX: usize = 5_000;
const MEETINGS_MAX: usize = 20_000;
const MEASURES_MAX: usize = 250_000;

/// The function of these arguments, none of them NULL; `None` if it is none of geometries.
pub(super) fn call(function: Function, arguments: &[Value]) -> Option<Result<Value, String>> {
    Some(match (function, arguments) {
        (Function::CreatePoint, [latitude, longitude]) => create_point(latitude, longitude),
        (Function::CreateLineString, points) => create_line(points),
        (Function::CreatePolygon, points) => create_polygon(points),
        (Function::StDistance, [a, b]) => geometry("ST_DISTANCE", a)
            .and_then(|a| Ok(Value::Float(distance(&a, &geometry("ST_DISTANCE", b)?)?))),
        (Function::StWithin, [a, b]) => pair("ST_WITHIN", a, b, |a, b| bit(a.relate(b).is_within())),
        (Function::StOverlaps, [a, b]) => pair("ST_OVERLAPS", a, b, |a, b| bit(a.relate(b).is_overlaps())),
        (Function::StIntersects, [a, b]) => {
            pair("ST_INTERSECTS", a, b, |a, b| bit(a.relate(b).is_intersects()))
        }
        _ => return None,
    })
}

fn bit(holds: bool) -> Value {
    Value::Int(i64::from(holds))
}

fn pair(
    name: &str,
    a: &Value,
    b: &Value,
    of: impl Fn(&Geometry, &Geometry) -> Value,
) -> Result<Value, String> {
    let (a, b) = (geometry(name, a)?, geometry(name, b)?);
    check_meetings(name, lines(&a).iter().chain(&lines(&b)))?;
    Ok(of(&a, &b))
}

fn create_point(latitude: &Value, longitude: &Value) -> Result<Value, String> {
    let float =
        |value: &Value| number(value).map(|number| number.float()).ok_or_else(|| wrong("CreatePoint", value));
    let (latitude, longitude) = (float(latitude)?, float(longitude)?);
    let coord = on_globe("CreatePoint", longitude, latitude)?;
    Ok(geo_json("Point", position(&coord)))
}

fn create_line(points: &[Value]) -> Result<Value, String> {
    let coords = coords("CreateLineString", points)?;
    if coords.len() < 2 {
        return Err("CreateLineString needs two points".to_owned());
    }
    Ok(geo_json("LineString", positions(&coords)))
}

fn create_polygon(points: &[Value]) -> Result<Value, String> {
    let mut coords = coords("CreatePolygon", points)?;
    if !is_ring(&coords) {
        return Err("CreatePolygon needs three different points".to_owned());
    }
    if coords.first() != coords.last() {
        coords.push(coords[0]);
    }
    Ok(geo_json("Polygon", Value::Array([positions(&coords)].into())))
}

/// Whether the points are a ring, closed or not: at least three of them differ.
fn is_ring(coords: &[Coord]) -> bool {
    let Some(&first) = coords.first() else { return false };
    let second = coords.iter().find(|&&coord| coord != first);
    second.is_some_and(|second| coords.iter().any(|coord| *coord != first && coord != second))
}

/// The coordinates of arguments that are points.
fn coords(name: &str, points: &[Value]) -> Result<Vec<Coord>, String> {
    let coord = |value: &Value| match geometry(name, value)? {
        Geometry::Point(point) => Ok(point.0),
        _ => Err(wrong(name, value)),
    };
    points.iter().map(coord).collect()
}

fn position(coord: &Coord) -> Value {
    Value::Array([Value::Float(coord.x), Value::Float(coord.y)].into())
}

fn positions(coords: &[Coord]) -> Value {
    Value::Array(coords.iter().map(position).collect())
}

fn geo_json(kind: &str, coordinates: Value) -> Value {
    let members = vec![("type".into(), Value::text(kind)), ("coordinates".into(), coordinates)];
    Value::Record(Arc::new(Record::new(members)))
}

/// Reads a geometry.
fn geometry(name: &str, value: &Value) -> Result<Geometry, String> {
    match value {
        Value::Text(text) => {
            // Collections are turned away unread: they nest, and their reader follows them however deep.
            let word = text.trim_start().bytes().take_while(u8::is_ascii_alphabetic).count();
            let word = &text.trim_start()[..word];
            if !["POINT", "LINESTRING", "POLYGON"].iter().any(|kind| word.eq_ignore_ascii_case(kind)) {
                return Err(format!("{name}: `{text}` is no WKT of a point, a line string or a polygon"));
            }
            match text.parse::<Wkt<f64>>() {
                Ok(wkt) => from_wkt(name, &wkt),
                Err(error) => Err(format!("{name}: `{text}` is no WKT: {error}")),
            }
        }
        Value::Record(record) => from_record(name, record),
        other => Err(wrong(name, other)),
    }
}

fn on_globe(name: &str, x: f64, y: f64) -> Result<Coord, String> {
    if (-180.0..=180.0).contains(&x) && (-90.0..=90.0).contains(&y) {
        return Ok(Coord { x, y });
    }
    Err(format!("{name}: there is no longitude {x}, latitude {y}"))
}

fn from_wkt(name: &str, wkt: &Wkt<f64>) -> Result<Geometry, String> {
    let line = |line: &wkt::types::LineString<f64>| {
        line.coords().iter().map(|coord| on_globe(name, coord.x, coord.y)).collect()
    };
    let empty = || format!("{name}: the geometry is empty");
    match wkt {
        Wkt::Point(point) => {
            let coord = point.coord().ok_or_else(empty)?;
            Ok(Point(on_globe(name, coord.x, coord.y)?).into())
        }
        Wkt::LineString(coords) => build(name, "LineString", vec![line(coords)?]),
        Wkt::Polygon(polygon) => {
            build(name, "Polygon", polygon.rings().iter().map(line).collect::<Result<_, String>>()?)
        }
        _ => Err(format!("{name} takes a point, a line string or a polygon")),
    }
}

fn from_record(name: &str, record: &Record) -> Result<Geometry, String> {
    let bad = || format!("{name}: {record} is no GeoJSON of a point, a line string or a polygon");
    let items = |value: &Value| match value {
        Value::Array(items) => Ok(items.clone()),
        _ => Err(bad()),
    };
    let coord = |value: &Value| {
        let float = |value: &Value| match value {
            Value::Int(int) => Ok(*int as f64),
            Value::Float(float) => Ok(*float),
            _ => Err(bad()),
        };
        match &*items(value)? {
            [x, y, ..] => on_globe(name, float(x)?, float(y)?),
            _ => Err(bad()),
        }
    };
    let line = |value: &Value| items(value)?.iter().map(coord).collect::<Result<Vec<Coord>, String>>();
    let coordinates = record.get("coordinates").ok_or_else(bad)?;
    match record.get("type") {
        Some(Value::Text(kind)) => match &**kind {
            "Point" => Ok(Point(coord(coordinates)?).into()),
            "LineString" => build(name, kind, vec![line(coordinates)?]),
            "Polygon" => {
                let parts = items(coordinates)?;
                let is_number = |part: &Value| matches!(part, Value::Int(_) | Value::Float(_));
                let is_position = |part: &Value| matches!(part, Value::Array(items) if items.first().is_some_and(is_number));
                // The pages write a single ring without its own brackets (choice C-GEO).
                if parts.first().is_some_and(is_position) {
                    return build(name, kind, vec![line(coordinates)?]);
                }
                let rings: Result<Vec<_>, String> = parts.iter().map(line).collect();
                build(name, kind, rings?)
            }
            _ => Err(bad()),
        },
        _ => Err(bad()),
    }
}

/// A line string, or a polygon of an outer ring and holes.
fn build(name: &str, kind: &str, lines: Vec<Vec<Coord>>) -> Result<Geometry, String> {
    let enough = |line: &Vec<Coord>| if kind == "Polygon" { is_ring(line) } else { line.len() > 1 };
    let check_points = |points: usize| match points > POINTS_MAX {
        true => Err(format!("{name}: a {kind} of more than {POINTS_MAX} points")),
        false => Ok(()),
    };
    check_points(lines.iter().map(Vec::len).sum())?;
    if !lines.iter().all(enough) {
        return Err(format!("{name}: a {kind} has too few points"));
    }
    let mut lines = lines.into_iter().map(LineString);
    match lines.next() {
        Some(first) if kind == "Polygon" => {
            let polygon = Polygon::new(first, lines.collect());
            let rings: Vec<Vec<Coord>> = self::lines(&polygon.clone().into());
            check_points(rings.iter().map(Vec::len).sum())?; // closed by now
            check_meetings(name, rings.iter())?;
            if has_spike(polygon.exterior()) || polygon.interiors().iter().any(has_spike) {
                return Err(format!("{name}: a ring of the polygon runs back along itself"));
            }
            // `relate` panics for some that are not valid, and means nothing for the others.
            match polygon.check_validation() {
                Ok(()) => Ok(polygon.into()),
                Err(error) => Err(format!("{name}: the polygon is not valid: {error}")),
            }
        }
        Some(first) => Ok(first.into()),
        None => Err(format!("{name}: the geometry is empty")),
    }
}

/// Whether two neighbouring sides of a closed ring have more than a point in common; the library's check looks
/// only at sides that are no neighbours.
fn has_spike(ring: &LineString) -> bool {
    let sides: Vec<Line> = ring.lines().filter(|side| side.start != side.end).collect();
    let overlap = |(a, b): (&Line, &Line)| {
        matches!(line_intersection(*a, *b), Some(LineIntersection::Collinear { .. }))
    };
    sides.iter().zip(sides.iter().cycle().skip(1)).any(overlap)
}

/// In metres. Of anything but two points: 0 if they intersect, else the least geodesic from a vertex of one
/// to the place on a segment of the other that is nearest in the plane, both ways.
fn distance(a: &Geometry, b: &Geometry) -> Result<f64, String> {
    if let (Geometry::Point(a), Geometry::Point(b)) = (a, b) {
        return Ok(Geodesic.distance(*a, *b));
    }
    if a.coords_count().saturating_mul(b.coords_count()) > MEASURES_MAX {
        return Err(format!("ST_DISTANCE: more than {MEASURES_MAX} distances from point to point"));
    }
    let (lines_a, lines_b) = (lines(a), lines(b));
    check_meetings("ST_DISTANCE", lines_a.iter().chain(&lines_b))?;
    if a.relate(b).is_intersects() {
        return Ok(0.0);
    }
    let (a, b) = (lines_a, lines_b);
    let one_way = |from: &[Vec<Coord>], to: &[Vec<Coord>]| {
        let segments: Vec<&[Coord]> = to.iter().flat_map(|line| line.windows(2)).collect();
        let away = |p: Coord, uv: &[Coord]| Geodesic.distance(Point(p), nearest(p, uv[0], uv[1]));
        let least = |p: &Coord| segments.iter().map(|uv| away(*p, uv)).fold(f64::INFINITY, f64::min);
        from.iter().flatten().map(least).fold(f64::INFINITY, f64::min)
    };
    Ok(one_way(&a, &b).min(one_way(&b, &a)))
}

/// Refuses geometries with too many pairs of sides whose bounding boxes touch: what relating them takes grows
/// with those. Boxes are swept from west to east.
fn check_meetings<'a>(name: &str, lines: impl Iterator<Item = &'a Vec<Coord>>) -> Result<(), String> {
    let sides = lines.flat_map(|line| line.windows(2).map(|side| Rect::new(side[0], side[1])));
    let mut boxes: Vec<Rect> = sides.collect();
    boxes.sort_by(|a, b| a.min().x.total_cmp(&b.min().x));
    let mut meetings = 0;
    for (at, west) in boxes.iter().enumerate() {
        let reached = boxes[at + 1..].iter().take_while(|east| east.min().x <= west.max().x);
        meetings +=
            reached.filter(|east| east.min().y <= west.max().y && west.min().y <= east.max().y).count();
        if meetings > MEETINGS_MAX {
            return Err(format!(
                "{name}: more than {MEETINGS_MAX} pairs of sides lie so close that they may meet"
            ));
        }
    }
    Ok(())
}

/// The lines of a geometry; a single point is the segment from itself to itself.
fn lines(geometry: &Geometry) -> Vec<Vec<Coord>> {
    let lines: Vec<Vec<Coord>> = match geometry {
        Geometry::Point(point) => vec![vec![point.0]],
        Geometry::LineString(line) => vec![line.0.clone()],
        Geometry::Polygon(polygon) => {
            let rings = std::iter::once(polygon.exterior()).chain(polygon.interiors());
            rings.map(|ring| ring.0.clone()).collect()
        }
        _ => Vec::new(),
    };
    let segment = |mut line: Vec<Coord>| {
        if line.len() == 1 {
            line.push(line[0]);
        }
        line
    };
    lines.into_iter().map(segment).collect()
}

/// The place on the segment `uv` that is nearest to `p` in the plane.
fn nearest(p: Coord, u: Coord, v: Coord) -> Point {
    let (dx, dy) = (v.x - u.x, v.y - u.y);
    let t = ((p.x - u.x) * dx + (p.y - u.y) * dy) / (dx * dx + dy * dy);
    // Where u = v, or so near that squares vanish, there is no direction to go.
    let t = if t.is_nan() { 0.0 } else { t.clamp(0.0, 1.0) };
    Point::new(u.x + t * dx, u.y + t * dy)
}
