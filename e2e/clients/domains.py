"""The official Python SDK against one platform: a custom domain for an existing function.

Arguments: endpoint (host:port), secret id, secret key, function. Prints "ok" when every step held.
"""

import json
import sys

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.scf.v20180416 import models, scf_client

endpoint, secret_id, secret_key, name = sys.argv[1:]
profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=330))
client = scf_client.ScfClient(credential.Credential(secret_id, secret_key), "local", profile)


def call(action, **params):
    request = getattr(models, action + "Request")()
    request.from_json_string(json.dumps(params))
    return getattr(client, action)(request)


def refused(action, want, **params):
    try:
        call(action, **params)
    except TencentCloudSDKException as error:
        assert error.code == want, (action, error.code, error.message)
        return
    raise AssertionError(f"{action} {params} was not refused")


def to(path, qualifier="$DEFAULT"):
    rules = [{"Path": "/api/*", "Type": "WildcardRules", "Rewrite": "/$"}]
    return {
        "Namespace": "default", "FunctionName": name, "Qualifier": qualifier, "PathMatch": path, "PathRewrite": rules,
    }


domain = "shop.example.com"
tags = [{"Key": "team", "Value": "blue"}]
call("CreateCustomDomain", Domain=domain, Protocol="HTTP", EndpointsConfig=[to("/*")], Tags=tags)
found = call("GetCustomDomain", Domain=domain)
assert (found.Domain, found.Protocol) == (domain, "HTTP"), found
conf = found.EndpointsConfig[0]
assert (conf.FunctionName, conf.Qualifier, conf.PathMatch) == (name, "$DEFAULT", "/*"), conf
assert conf.PathRewrite[0].Rewrite == "/$" and found.Tags[0].Value == "blue", found
call("UpdateCustomDomain", Domain=domain, EndpointsConfig=[to("/"), to("/a/*", "$LATEST")])
listed = call("ListCustomDomains", Limit=10, Order="ASC")
assert listed.Total == 1 and len(listed.Domains[0].EndpointsConfig) == 2, listed
refused("CreateCustomDomain", "ResourceInUse", Domain=domain, Protocol="HTTP", EndpointsConfig=[to("/")])
refused("CreateCustomDomain", "InvalidParameterValue.Domain", Domain="*.a.b", Protocol="HTTP", EndpointsConfig=[to("/")])
refused("UpdateCustomDomain", "FailedOperation.Ssl", Domain=domain, CertConfig={"CertificateId": "none"})
refused("UpdateCustomDomain", "ResourceNotFound.Qualifier", Domain=domain, EndpointsConfig=[to("/", "9")])
call("DeleteCustomDomain", Domain=domain)
refused("GetCustomDomain", "FailedOperation.Domain.UnExist", Domain=domain)
print("ok")
