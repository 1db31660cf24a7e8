"""What the flavours share: how RateWise stands around an HTTP library, in as far as it need not know which."""
