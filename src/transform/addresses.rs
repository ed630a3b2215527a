//! Functions of IP addresses, which the SQL engine lacks.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use ipnet::IpNet;

/// `ip_in(ip, cidr)`: whether an address lies in a network, such as `10.0.0.0/8` or `2001:db8::/32`; a bare address is a network
/// of one. An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) is that IPv4 address. A text that is no address is in no
/// network; one that is no network is an error, since it stands in the query.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IpIn {
    signature: Signature,
}

/// `ip_version(ip)`: 4 or 6; null for a text that is no address.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct IpVersion {
    signature: Signature,
}

impl IpIn {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8; 2], Volatility::Immutable) }
    }
}

impl IpVersion {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for IpIn {
    fn name(&self) -> &'static str {
        "ip_in"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [addresses, networks] = arrays.as_slice() else {
            return Err(DataFusionError::Execution("ip_in takes an address and a network".to_owned()));
        };
        let (addresses, networks) = (addresses.as_string::<i32>(), networks.as_string::<i32>());
        as_scalar_or_array(&args, Arc::new(all_in(addresses, networks)?))
    }
}

impl ScalarUDFImpl for IpVersion {
    fn name(&self) -> &'static str {
        "ip_version"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let addresses =
            arrays.first().ok_or_else(|| DataFusionError::Execution("ip_version takes an address".to_owned()))?;
        let version =
            |text: Option<&str>| text?.parse().ok().map(|address: IpAddr| if address.is_ipv4() { 4 } else { 6 });
        let versions: Int64Array = addresses.as_string::<i32>().iter().map(version).collect();
        as_scalar_or_array(&args, Arc::new(versions))
    }
}

pub(super) fn as_scalar_or_array(args: &ScalarFunctionArgs, values: ArrayRef) -> Result<ColumnarValue> {
    if args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_))) {
        return datafusion::scalar::ScalarValue::try_from_array(&values, 0).map(ColumnarValue::Scalar);
    }
    Ok(ColumnarValue::Array(values))
}

fn all_in(addresses: &StringArray, networks: &StringArray) -> Result<BooleanArray> {
    // It is nearly always the same for every row.
    let mut last: Option<(&str, IpNet)> = None;
    let mut found = Vec::with_capacity(addresses.len());
    for row in 0..addresses.len() {
        if addresses.is_null(row) || networks.is_null(row) {
            found.push(None);
            continue;
        }
        let text = networks.value(row);
        let network = match last {
            Some((known, network)) if known == text => network,
            _ => network(text)?,
        };
        last = Some((text, network));
        let address: Option<IpAddr> = addresses.value(row).parse().ok();
        found.push(Some(address.is_some_and(|address| network.contains(&address.to_canonical()))));
    }
    Ok(found.into())
}

fn network(text: &str) -> Result<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(|address| IpNet::from(address.to_canonical()));
    text.parse().ok().or_else(address).ok_or_else(|| {
        DataFusionError::Execution(format!("ip_in: `{text}` isn't a network, such as '10.0.0.0/8' or '2001:db8::/32'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(address: &str, network: &str) -> Option<bool> {
        let one = |text: &str| StringArray::from(vec![(text != "null").then(|| text.to_owned())]);
        let found = all_in(&one(address), &one(network)).unwrap();
        found.is_valid(0).then(|| found.value(0))
    }

    #[test]
    fn addresses_lie_in_networks() {
        for (address, network, expected) in [
            ("10.1.2.3", "10.0.0.0/8", Some(true)),
            ("11.1.2.3", "10.0.0.0/8", Some(false)),
            ("10.1.2.3", "0.0.0.0/0", Some(true)),
            ("10.1.2.3", "10.1.2.3", Some(true)),
            ("::ffff:10.1.2.3", "10.0.0.0/8", Some(true)),
            ("2001:db8::1", "2001:db8::/32", Some(true)),
            ("2001:db9::1", "2001:db8::/32", Some(false)),
            ("10.1.2.3", "2001:db8::/32", Some(false)),
            ("host5.lan", "10.0.0.0/8", Some(false)),
            ("", "10.0.0.0/8", Some(false)),
            ("null", "10.0.0.0/8", None),
        ] {
            assert_eq!(is_in(address, network), expected, "{address} {network}");
        }
        assert!(all_in(&StringArray::from(vec!["10.0.0.1"]), &StringArray::from(vec!["10.0.0.0/99"])).is_err());
    }
}
